#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "ledger.h"

namespace standin {
namespace {

#if defined(__aarch64__)
// Some boards' kernels give a process 512 GiB of addresses in all, and qemu-user keeps a record of each page.
constexpr size_t kRange = size_t{16} << 30;
#else
constexpr size_t kRange = size_t{512} << 30;  // addresses of one device: twice the largest device, so that they last
#endif
constexpr size_t kPage = 4096;

struct Memory {
  std::map<uintptr_t, Allocation> live;  // by address
  uintptr_t base[kMaxDevices] = {};      // of a device's range; 0: not reserved yet
  size_t next[kMaxDevices] = {};         // offset of the next allocation
  int64_t used[kMaxDevices] = {};
  std::vector<uintptr_t> released;  // of `live`, what goes at the next synchronization
};

Memory& memory() {
  static auto* memory = new Memory;
  return *memory;
}

thread_local int device_of_thread = 0;

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::Device:
      return "device";
    case Kind::Weights:
      return "weights";
    case Kind::Scratch:
      return "scratch";
    case Kind::Context:
      return "context";
    case Kind::Pinned:
      return "pinned";
    case Kind::Graph:
      return "graph_memory";
  }
  return "";
}

std::byte* map(size_t size, int protection) {
  void* mapped = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    std::perror("stand-in: mmap");
    std::abort();
  }
  return static_cast<std::byte*>(mapped);
}

size_t rounded(size_t size) { return (std::max<size_t>(size, 1) + kPage - 1) / kPage * kPage; }

// Skips what lives; wraps around at the end of the range. A page lies between any two allocations.
uintptr_t take_address(int device, size_t size) {
  Memory& state = memory();
  uintptr_t& base = state.base[device];
  if (base == 0) base = reinterpret_cast<uintptr_t>(map(kRange, PROT_NONE));
  size_t span = rounded(size) + kPage;
  size_t& next = state.next[device];
  for (int wraps = 0; wraps < 2;) {
    if (next + span > kRange) {
      next = 0;
      ++wraps;
      continue;
    }
    auto after = state.live.lower_bound(base + next);
    if (after != state.live.begin()) {
      auto before = std::prev(after);
      uintptr_t end = before->first + rounded(before->second.size) + kPage;
      if (before->first >= base && end > base + next) {
        next = end - base;
        continue;
      }
    }
    if (after == state.live.end() || after->first >= base + next + span) {
      uintptr_t address = base + next;
      next += span;
      return address;
    }
    next = after->first + rounded(after->second.size) + kPage - base;
  }
  std::fprintf(stderr, "stand-in: device %d has no addresses left\n", device);
  std::abort();
}

}  // namespace

void* allocate(Kind kind, int device, size_t size) {
  bool pinned = kind == Kind::Pinned;
  // Memory of a stream-ordered pool is there for TensorRT's own next allocation.
  const bool of_cuda = kind == Kind::Device || kind == Kind::Graph;
  if (!pinned && !of_cuda && static_cast<int64_t>(size) > free_bytes(device)) give_back_released(device);
  if (!pinned && static_cast<int64_t>(size) > free_bytes(device)) return nullptr;
  std::byte* host = map(rounded(size), PROT_READ | PROT_WRITE);
  uintptr_t address = pinned ? reinterpret_cast<uintptr_t>(host) : take_address(device, size);
  memory().live.emplace(address, Allocation{kind, device, address, size, host});
  count_live(kind_name(kind), 1, static_cast<int64_t>(size));
  if (!pinned) {
    memory().used[device] += static_cast<int64_t>(size);
    count_live("device_total", 1, static_cast<int64_t>(size));
  }
  return reinterpret_cast<void*>(address);
}

bool release(void* pointer, Kind kind, const char* who) {
  auto found = memory().live.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == memory().live.end() || found->second.kind != kind) {
    misuse(std::string(who) + ": not the start of live " + kind_name(kind) + " memory (freed twice, or unknown)");
    return false;
  }
  const Allocation& allocation = found->second;
  auto size = static_cast<int64_t>(allocation.size);
  count_live(kind_name(kind), -1, -size);
  if (kind != Kind::Pinned) {
    memory().used[allocation.device] -= size;
    count_live("device_total", -1, -size);
  }
  munmap(allocation.host, rounded(allocation.size));
  memory().live.erase(found);
  return true;
}

bool release_in_stream_order(void* pointer, Kind kind, const char* who) {
  auto found = memory().live.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == memory().live.end() || found->second.kind != kind) return release(pointer, kind, who);
  memory().released.push_back(found->first);
  return true;
}

void give_back_released(int device) {
  std::vector<uintptr_t>& released = memory().released;
  const auto elsewhere = [device](uintptr_t address) { return memory().live.at(address).device != device; };
  const auto here = std::partition(released.begin(), released.end(), elsewhere);
  for (auto each = here; each != released.end(); ++each) {
    release(reinterpret_cast<void*>(*each), memory().live.at(*each).kind, "a synchronization");
  }
  released.erase(here, released.end());
}

const Allocation* find_allocation(const void* pointer) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  auto after = memory().live.upper_bound(address);
  if (after == memory().live.begin()) return nullptr;
  const Allocation& allocation = std::prev(after)->second;
  return address < allocation.address + std::max<size_t>(allocation.size, 1) ? &allocation : nullptr;
}

bool is_device_address(const void* pointer) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  return std::any_of(std::begin(memory().base), std::end(memory().base),
                     [=](uintptr_t base) { return base != 0 && address >= base && address - base < kRange; });
}

std::byte* host_view(const void* pointer, size_t size, const char* who) {
  const Allocation* allocation = find_allocation(pointer);
  if (allocation == nullptr) {
    if (!is_device_address(pointer)) return static_cast<std::byte*>(const_cast<void*>(pointer));
    misuse(std::string(who) + ": device memory that is freed or was never allocated");
    return nullptr;
  }
  size_t offset = reinterpret_cast<uintptr_t>(pointer) - allocation->address;
  if (size > allocation->size - std::min(offset, allocation->size)) {
    misuse(std::string(who) + ": " + std::to_string(size) + " bytes at offset " + std::to_string(offset) + " of " +
           std::to_string(allocation->size) + " bytes of " + kind_name(allocation->kind) + " memory");
    return nullptr;
  }
  return allocation->host + offset;
}

int64_t total_bytes(int) { return std::min(setting("device_bytes"), static_cast<int64_t>(kRange / 2)); }

int64_t free_bytes(int device) {
  return std::max<int64_t>(0, total_bytes(device) - memory().used[device] - held_bytes(device));
}

int current_device() { return device_of_thread; }
void set_current_device(int device) { device_of_thread = device; }

}  // namespace standin
