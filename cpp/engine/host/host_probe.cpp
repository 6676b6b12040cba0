#include "engine/host/host_probe.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "cache/cache_folder.h"
#include "engine/host/mapping.h"
#include "engine/host/packed_file.h"
#include "engine/payload.h"

namespace torchtrt_ws::host {
namespace {

constexpr const char* kOnTheHeap = "Until then the engine runs with all weights on the heap.";

CheckFact payload_fact(const ProbeRequest& request) {
  if (is_executorch_program(request.engine, request.size)) {
    return {"engine", Verdict::Ok, "an ExecuTorch program, for any CPU", "", {}};
  }
  return {"engine", Verdict::No, "no ExecuTorch program; expected \"ET12\" at byte 4", "Save the program again.", {}};
}

/// What a process may write into the folder's file system.
std::optional<int64_t> room_in(const std::string& path) {
  struct statvfs info{};
  if (statvfs(path.c_str(), &info) != 0) return std::nullopt;
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  const uint64_t block = std::max<uint64_t>(info.f_frsize, 1);
  return static_cast<int64_t>(std::min<uint64_t>(info.f_bavail, kMost / block) * block);
}

CheckFact cache_fact(const ProbeRequest& request) {
  const auto advice = [](Failure failure) {
    failure.next_step += std::string(". ") + kOnTheHeap;
    return fact_of("cache", Verdict::Advice, failure);
  };
  auto opened = CacheFolder::open();
  if (!opened.ok()) return advice(opened.failure());
  const CacheFolder& folder = opened.value();
  const auto& own = request.metadata.own;
  if (own) {
    auto packed = folder.open_file(PackedFile::name_of(own->sha256));
    if (!packed.ok()) return advice(packed.failure());
    if (packed.value()) return {"cache", Verdict::Ok, folder.path() + ", with this engine's packed weights", "", {}};
  }
  if (!folder.is_writable()) {
    return {"cache",
            Verdict::Advice,
            folder.path() + ", which this process may not write, without this engine's packed weights",
            std::string("Set TORCHTRT_WS_CACHE to a folder of this user. ") + kOnTheHeap,
            {}};
  }
  const int64_t needed = PackedFile::room_to_build(static_cast<int64_t>(request.size));
  const std::optional<int64_t> room = room_in(folder.path());
  if (!room) return {"cache", Verdict::Unknown, folder.path() + ", whose file system does not tell its room", "", {}};
  CheckFact fact{
      "cache",
      Verdict::Ok,
      folder.path() + ": " + std::to_string(needed) + " bytes while weights are packed, of " + std::to_string(*room),
      "",
      {{"needed", needed}, {"room", *room}}};
  if (needed > *room) {
    fact.verdict = Verdict::Advice;
    fact.remedy = std::string("Make room there, or set TORCHTRT_WS_CACHE to a folder that has it. ") + kOnTheHeap;
  }
  return fact;
}

/// Whether RLIMIT_MEMLOCK does not count for this process: CAP_IPC_LOCK, capabilities(7).
bool may_lock_all() {
  constexpr int kIpcLock = 14;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("CapEff:", 0) == 0) return (std::strtoull(line.c_str() + 7, nullptr, 16) >> kIpcLock & 1) != 0;
  }
  return false;
}

int64_t lock_limit() {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  if (may_lock_all()) return kMost;
  struct rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMost;
  return static_cast<int64_t>(std::min<uint64_t>(limit.rlim_cur, kMost));
}

}  // namespace

Probe probe_host(const ProbeRequest& request) {
  Probe probe;
  probe.facts = {{"runtime", Verdict::Ok, "ExecuTorch " TORCHTRT_WS_EXECUTORCH_VERSION " with XNNPACK", "", {}},
                 payload_fact(request),
                 cache_fact(request)};
  probe.device_name = "cpu";
  probe.free_bytes = available_memory();
  probe.lock_limit = lock_limit();
  return probe;
}

}  // namespace torchtrt_ws::host
