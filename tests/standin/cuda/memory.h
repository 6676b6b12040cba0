#pragma once

#include <cstddef>
#include <cstdint>

namespace standin {

inline constexpr int kMaxDevices = 8;

/// Who asked for memory; each kind is counted by itself (standin.h, standin_live()).
enum class Kind { Device, Weights, Scratch, Context, Pinned, Graph };

struct Allocation {
  Kind kind;
  int device;
  uintptr_t address;  // what the caller holds
  size_t size;
  std::byte* host;  // where the bytes are; for pinned memory the same as `address`
};

/// Memory of the current kind: on `device`, or pinned on the host. Null when the device has less than `size` free.
///
/// A device address lies in a range that no host code can touch (PROT_NONE), so that a host access to it crashes as on
/// a real machine; addresses are taken in turn, so that a freed one is not soon used again.
void* allocate(Kind kind, int device, size_t size);

/// Frees what allocate() returned. False, and a misuse, for anything else.
bool release(void* pointer, Kind kind, const char* who);

/// Frees what allocate() returned, as cudaFreeAsync() does on the legacy default stream: the device has it back when
/// that is next synchronized with. Another stream does not do (seen).
bool release_in_stream_order(void* pointer, Kind kind, const char* who);
/// Somebody synchronizes with the legacy stream of `device`, or all of it.
void give_back_released(int device);

/// The allocation that holds `pointer`, or null.
const Allocation* find_allocation(const void* pointer);

/// True for every address that a device allocation has or had.
bool is_device_address(const void* pointer);

/// Where [pointer, pointer + size) can be read and written by the stand-in. Null, and a misuse that names `who`, for
/// device memory that is freed, unknown or too small. Host memory that is not ours is taken on trust.
std::byte* host_view(const void* pointer, size_t size, const char* who);

int64_t total_bytes(int device);
int64_t free_bytes(int device);

/// The calling thread's device.
int current_device();
void set_current_device(int device);

}  // namespace standin
