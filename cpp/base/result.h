#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace torchtrt_ws {

/// The closed set of ways in which the core and the engines fail. The delegate alone maps them to ExecuTorch's codes.
enum class ErrorCode {
  BadBlob,       ///< The engine blob is damaged, or was not written by a writer of this format.
  NewerSchema,   ///< The blob was written by a newer torchtrt-ws than this one.
  BadOption,     ///< A load-time option or a baked compile spec cannot be read, or does not apply.
  BadArgument,   ///< The caller passed wrong tensors or arguments to a call.
  BadEngine,     ///< The runtime refused the engine's bytes: garbage or truncated.
  Incompatible,  ///< A good plan of another version, platform or kind.
  NotSupported,  ///< No device, driver or library for this engine here.
  DoesNotFit,    ///< Not enough memory.
  EngineFault,   ///< The engine's runtime (TensorRT, CUDA, ExecuTorch) failed.
  WrongState,    ///< The call came at the wrong moment.
};

/// The code's name, such as "BadOption". Never null.
[[nodiscard]] const char* error_code_name(ErrorCode code) noexcept;

/// What went wrong, in the four parts that every message of this project has.
struct Failure {
  ErrorCode code;
  std::string subject;    ///< The key, file, tensor or part of a blob that it is about.
  std::string found;      ///< What was found there; foreign text goes through in_quotes() (quote.h).
  std::string expected;   ///< What is accepted.
  std::string next_step;  ///< What to do next: a sentence or two; message() adds a full stop where the last is missing.

  /// "subject: found X; expected Y. Next step."; parts that are empty are left out.
  [[nodiscard]] std::string message() const;
};

/// A value, or why there is none. Never empty, never both.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T good) : state_(std::in_place_index<0>, std::move(good)) {}              // implicit: `return value;`
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}  // implicit: `return Failure{...};`

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }

  /// The value. Precondition: ok().
  [[nodiscard]] T& value() & noexcept {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const& noexcept {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && noexcept {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }

  /// The failure. Precondition: !ok().
  [[nodiscard]] const Failure& failure() const& noexcept {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  [[nodiscard]] Failure&& failure() && noexcept {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Failure> state_;
};

/// The value of a call that has nothing to return.
struct Unit {};
using Status = Result<Unit>;
[[nodiscard]] inline Status ok_status() { return Unit{}; }

}  // namespace torchtrt_ws
