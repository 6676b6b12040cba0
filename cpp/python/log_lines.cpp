#include "python/log_lines.h"

#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/types.h>
#include <nanobind/stl/string.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "engine/python_lock.h"

namespace torchtrt_ws::python {
namespace nb = nanobind;
namespace {

constexpr std::string_view kOurs = "torchtrt_ws: ";  // engine/log.cpp
constexpr size_t kMostLines = 10000;
constexpr size_t kMostBytes = 256;  // what ExecuTorch lets through of a line (runtime/platform/log.cpp)
constexpr size_t kMostErrors = 4;   // of one call: the first says what went wrong, the others who passed it on

struct Line {
  double seconds;
  char level;
  std::string file, function;
  size_t number;
  std::string message;
  uint64_t thread;
};

/// Leaked: lines may come while the process ends.
struct Queue {
  std::mutex mutex;  // guards the two below; never held while Python runs
  std::deque<Line> lines;
  size_t dropped = 0;
};
Queue& queue() {
  static auto* const all = new Queue;
  return *all;
}

std::atomic<bool> has_lines{false};
std::atomic<PyObject*> handler{nullptr};  // its reference is leaked when it changes: a thread may be calling it
thread_local bool handing_over = false;
thread_local std::vector<std::string> errors;

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

void to_stderr(char level, const char* file, size_t line, const char* message, size_t length) noexcept {
  std::fprintf(stderr, "%c [executorch:%s:%zu] %.*s\n", level, file, line, static_cast<int>(length), message);
  std::fflush(stderr);
}

/// Whatever the handler raises is Python's to report: who logs cannot be told.
void call_handler(PyObject* callee) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyObject* result = PyObject_CallNoArgs(callee);
  if (result == nullptr) PyErr_WriteUnraisable(callee);
  Py_XDECREF(result);
  PyErr_Restore(type, value, trace);
}

void push(Line line) {
  Queue& all = queue();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.lines.size() >= kMostLines) {
    all.lines.pop_front();
    ++all.dropped;
  }
  all.lines.push_back(std::move(line));
  has_lines.store(true, std::memory_order_release);
}

void take_line(et_timestamp_t, et_pal_log_level_t level, const char* file, const char* function, size_t line,
               const char* message, size_t length) noexcept try {
  const char letter = static_cast<char>(level);
  const bool failed = level == kError || level == kFatal;
  const std::string_view text(message, length);
  const bool ours = text.substr(0, kOurs.size()) == kOurs;  // last_error() has those in full
  if (failed && !ours && errors.size() < kMostErrors) errors.emplace_back(text);
  const bool taken = handler.load(std::memory_order_acquire) != nullptr && Py_IsInitialized() != 0;
  if (!taken || level == kFatal) to_stderr(letter, file, line, message, length);
  if (!taken) return;
  push({now(), letter, file, function, line, std::string(message, length), static_cast<uint64_t>(gettid())});
  if (holds_python_lock()) hand_over_lines();
} catch (...) {  // no memory for a line
  to_stderr(static_cast<char>(level), file, line, message, length);
}

}  // namespace

// Not by register_pal(): that logs an error where somebody else has registered, and others do: ExecuTorch's own Python
// runtime, whenever it is imported. What get_pal_impl() returns is a variable (runtime/platform/platform.cpp).
void take_log() noexcept {
  auto* pal = const_cast<executorch::runtime::PalImpl*>(executorch::runtime::get_pal_impl());
  if (pal->emit_log_message != &take_line) pal->emit_log_message = &take_line;
}

void set_log_handler(nb::object callee) {
  take_log();
  handler.store(callee.is_none() ? nullptr : callee.release().ptr(), std::memory_order_release);
}

nb::list take_log_lines() {
  std::deque<Line> lines;
  size_t dropped = 0;
  {
    Queue& all = queue();
    const std::lock_guard<std::mutex> lock(all.mutex);
    lines.swap(all.lines);
    std::swap(dropped, all.dropped);
    has_lines.store(false, std::memory_order_release);
  }
  nb::list taken;
  if (dropped > 0) {
    taken.append(nb::make_tuple(now(), "I", __FILE__, __func__, __LINE__,
                                "warning: " + std::to_string(dropped) + " earlier lines were dropped", gettid()));
  }
  for (const Line& each : lines) {
    // ExecuTorch cuts lines at a number of bytes, which may be within a character.
    nb::object message =
        nb::steal(PyUnicode_DecodeUTF8(each.message.data(), static_cast<Py_ssize_t>(each.message.size()), "replace"));
    taken.append(nb::make_tuple(each.seconds, nb::str(&each.level, 1), each.file, each.function, each.number, message,
                                each.thread));
  }
  return taken;
}

std::string error_lines() {
  std::string text;
  for (const std::string& line : errors) {
    const std::string each = escaped(line, kMostBytes);  // it may quote a damaged file
    if (text.find(each) != std::string::npos) continue;
    text += (text.empty() ? "" : "; ") + each;
  }
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  return text;
}

void forget_error_lines() noexcept { errors.clear(); }

void hand_over_lines() noexcept {
  if (handing_over || !has_lines.load(std::memory_order_acquire)) return;
  PyObject* callee = handler.load(std::memory_order_acquire);
  if (callee == nullptr) return;
  handing_over = true;
  or_stay([callee] { call_handler(callee); });  // Python may give the GIL to another thread, and end
  handing_over = false;
}

}  // namespace torchtrt_ws::python
