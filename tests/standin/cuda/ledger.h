#pragma once

#include <cstdint>
#include <optional>
#include <string>

// Counters, faults, settings and misuse, for both stand-ins. Everything here and in the headers beside it is guarded by
// one recursive mutex, which each exported function takes first: lock(). Nothing else is thread-safe.
namespace standin {

class Lock {
 public:
  Lock();
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};
inline Lock lock() { return Lock(); }

/// Counts a call of `function`. An error to fail with (0: the usual one), when a test asked for that; else nullopt.
std::optional<int> enter(const char* function, bool can_fail = true);

/// Whether the calling thread's calls are the test's own.
bool exempt_now();

/// The error that every call returns since an earlier one (setting "sticky"); 0: none.
int& lost_device();

/// Records that a rule was broken, in words.
void misuse(const std::string& what);

/// Adds to the bytes moved of one kind.
void count_bytes(const char* kind, int64_t bytes);

/// Adds to (or takes from) what lives of one kind.
void count_live(const char* kind, int64_t objects, int64_t bytes = 0);

/// A setting of standin.h.
int64_t setting(const char* name);

/// What was put in by standin_leave_free(): bytes of `device` that another process holds.
int64_t held_bytes(int device);

}  // namespace standin
