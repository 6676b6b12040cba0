#include "cache/cache_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "budget/decimal.h"

namespace torchtrt_ws {
namespace {

constexpr int64_t kDefaultLimit = int64_t{16} << 30;  // bytes
constexpr const char* kEntrySuffixes[] = {".packed", ".runtime", ".refit"};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string default_folder() {
  if (auto chosen = variable("TORCHTRT_WS_CACHE"); !chosen.empty()) return chosen;
  if (auto xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/torchtrt_ws";
  if (auto home = variable("HOME"); !home.empty()) return home + "/.cache/torchtrt_ws";
  return {};
}

/// Makes `path` and what is missing above it, each with mode 0700.
bool make_folders(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    if (mkdir(path.substr(0, slash).c_str(), 0700) != 0 && errno != EEXIST) return false;
    if (slash == std::string::npos) return true;
  }
}

/// Why something of the cache is not to be trusted; empty if it is.
std::string distrusted(const struct stat& info) {
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return "something that belongs to user " + std::to_string(info.st_uid);
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "something that other users may write";
  return {};
}

bool is_entry(const std::string& name) {
  const auto ends_with = [&name](const std::string& end) {
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  return std::any_of(std::begin(kEntrySuffixes), std::end(kEntrySuffixes), ends_with);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  if (DIR* directory = opendir(folder.c_str())) {
    while (const dirent* entry = readdir(directory)) names.emplace_back(entry->d_name);
    closedir(directory);
  }
  return names;
}

int64_t size_limit() {
  const std::string text = variable("TORCHTRT_WS_CACHE_LIMIT");
  const auto limit = parse_decimal("TORCHTRT_WS_CACHE_LIMIT", text.data(), text.size());
  return limit.ok() ? limit.value() : kDefaultLimit;
}

}  // namespace

Failure unusable_cache(const std::string& path, const std::string& why) {
  return {ErrorCode::NotSupported, path, why, "a folder of this user that nobody else may write",
          "Set TORCHTRT_WS_CACHE to one"};
}

Result<CacheFolder> CacheFolder::open(const std::string& chosen) {
  const std::string path = chosen.empty() ? default_folder() : chosen;
  if (path.empty()) return unusable_cache("cache folder", "neither TORCHTRT_WS_CACHE nor HOME");
  if (!make_folders(path)) return unusable_cache(path, std::strerror(errno));
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info{};
  if (!folder || fstat(folder.get(), &info) != 0) return unusable_cache(path, std::strerror(errno));
  if (auto why = distrusted(info); !why.empty()) return unusable_cache(path, why);
  return CacheFolder(path, access(path.c_str(), W_OK | X_OK) == 0);
}

Result<Descriptor> CacheFolder::open_file(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  Descriptor file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file && (errno == EACCES || errno == EROFS || errno == EPERM)) {
    file = Descriptor(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!file && errno == ENOENT) return file;
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0) return unusable_cache(path, std::strerror(errno));
  // No name at all: another process put a newer file in its place meanwhile.
  if (!S_ISREG(info.st_mode) || info.st_nlink > 1) return unusable_cache(path, "no regular file with one name");
  if (auto why = distrusted(info); !why.empty()) return unusable_cache(path, why);
  return file;
}

Result<Descriptor> CacheFolder::lock(const std::string& name, int seconds) const {
  const std::string path = path_ + "/" + name + ".lock";
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) return unusable_cache(path, std::strerror(errno));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return unusable_cache(path, std::strerror(errno));
    if (std::chrono::steady_clock::now() >= end) {
      return unusable_cache(path, "a lock that another process has held for " + std::to_string(seconds) + " s");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return lock;
}

void CacheFolder::remove_leftovers(const std::string& name) const {
  constexpr size_t kRandom = 7;  // ".XXXXXX", as mkostemp makes it
  for (const std::string& each : names_in(path_)) {
    const bool temporary = each.size() == name.size() + kRandom && each.compare(0, name.size() + 1, name + ".") == 0;
    if (temporary) unlink((path_ + "/" + each).c_str());
  }
}

void CacheFolder::evict(const std::string& kept) const {
  struct Entry {
    timespec used;
    int64_t bytes;
    std::string name;
  };
  std::vector<Entry> entries;
  int64_t total = 0;
  for (const std::string& name : names_in(path_)) {
    struct stat info{};
    if (!is_entry(name) || lstat((path_ + "/" + name).c_str(), &info) != 0) continue;
    const int64_t bytes = int64_t{info.st_blocks} * 512;
    total += bytes;
    if (name != kept) entries.push_back({info.st_mtim, bytes, name});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::make_pair(a.used.tv_sec, a.used.tv_nsec) < std::make_pair(b.used.tv_sec, b.used.tv_nsec);
  });
  const int64_t limit = size_limit();
  for (const Entry& entry : entries) {
    if (total <= limit) return;
    for (const char* suffix : {"", ".sum"}) unlink((path_ + "/" + entry.name + suffix).c_str());
    total -= entry.bytes;
  }
}

}  // namespace torchtrt_ws
