#include "engine/tensorrt/logger.h"

#include <executorch/runtime/platform/log.h>

#include <atomic>
#include <mutex>
#include <string_view>

#include "base/quote.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr size_t kLongestWords = 2000;  // bytes; TensorRT repeats itself when it gives up

thread_local ErrorScope* innermost = nullptr;

/// The last error without a scope. Leaked: TensorRT may log while the process ends.
struct Stray {
  std::atomic<uint64_t> count{0};  // of such errors; written under `mutex`
  std::mutex mutex;                // guards `words`
  std::string words;
};

Stray& stray() {
  static auto* stray = new Stray;
  return *stray;
}

void keep_stray(const std::string& message) {
  ET_LOG(Error, "torchtrt_ws: TensorRT: %s", message.c_str());
  std::lock_guard<std::mutex> lock(stray().mutex);
  stray().words = message;
  ++stray().count;
}

}  // namespace

void Logger::log(Severity severity, const char* message) noexcept {
  if (message == nullptr || severity > Severity::kWARNING) return;
  try {
    // It quotes names of tensors and layers, and those come from a file.
    const std::string text = escaped(message, kLongestWords);
    if (severity == Severity::kWARNING) {
      ET_LOG(Info, "torchtrt_ws: warning: TensorRT: %s", text.c_str());
      return;
    }
    if (innermost == nullptr) {
      keep_stray(text);
      return;
    }
    std::string& words = innermost->words_;
    if (words.size() >= kLongestWords) return;
    if (!words.empty()) words += "; ";
    words.append(text, 0, kLongestWords - words.size());
  } catch (...) {  // out of host memory: the message is lost, the error code is not
  }
}

ErrorScope::ErrorScope() noexcept : outer_(innermost), strays_(stray().count) { innermost = this; }

ErrorScope::~ErrorScope() { innermost = outer_; }

std::string ErrorScope::words() const {
  if (!words_.empty() || stray().count == strays_) return words_;
  std::lock_guard<std::mutex> lock(stray().mutex);
  return stray().words;
}

}  // namespace torchtrt_ws::tensorrt
