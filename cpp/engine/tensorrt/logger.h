#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>

namespace torchtrt_ws::tensorrt {

/// Takes what TensorRT says: warnings go to ExecuTorch's log, errors to the ErrorScope of the thread that caused them,
/// so that the Failure we return carries TensorRT's own words. Errors outside a scope are logged. Thread-safe.
class Logger final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override;
};

/// While it lives, keeps the errors that TensorRT reports on this thread. Put one around each call that may fail.
/// Scopes nest; the innermost one collects.
class ErrorScope {
 public:
  ErrorScope() noexcept;
  ~ErrorScope();
  ErrorScope(const ErrorScope&) = delete;
  ErrorScope& operator=(const ErrorScope&) = delete;

  /// The messages so far, oldest first, joined by "; ". When there are none: the last error that came from a thread
  /// without a scope since this one began, since some of TensorRT's work runs on threads of its own.
  std::string words() const;

 private:
  friend class Logger;
  ErrorScope* outer_;
  uint64_t strays_;    // errors outside all scopes when this one began
  std::string words_;  // only this thread writes it
};

}  // namespace torchtrt_ws::tensorrt
