#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace torchtrt_ws::fuzz {

/// Ends the run when a promise of a header is broken: libFuzzer and replay.cpp then say which input did it.
inline void check(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: broken promise: %s\n", promise);
  std::abort();
}

/// Messages and notes may go to a terminal: printable ASCII, and not without bound.
inline void check_text(const std::string& text) {
  check(text.size() < 4096, "a message is short");
  for (const char c : text) check(c >= 0x20 && c < 0x7f, "a message is printable");
}

}  // namespace torchtrt_ws::fuzz
