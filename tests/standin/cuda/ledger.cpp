#include "ledger.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

#include "../standin.h"
#include "memory.h"

namespace standin {
namespace {

struct Fault {
  int64_t at;     // the calls left until it strikes; 1: the next
  int64_t times;  // calls that still fail
  int error;
};

struct Function {
  int64_t calls = 0;
  bool can_fail = false;
  std::vector<Fault> faults;
};

struct Live {
  int64_t objects = 0, bytes = 0, peak_bytes = 0;
};

using Settings = std::map<std::string, int64_t, std::less<>>;

struct Ledger {
  std::map<std::string, Function, std::less<>> functions;  // never erased: names are handed out
  std::map<std::string, int64_t, std::less<>> bytes;
  std::map<std::string, Live, std::less<>> live;
  std::deque<std::string> misuses;
  Settings settings;
  int64_t held[kMaxDevices] = {};
  int64_t injected = 0;
};

Settings initial_settings() {
  Settings settings = {{"devices", 2},          {"driver_error", 0},    {"device_bytes", int64_t{8} << 30},
                       {"compute", 90},         {"pageable_access", 0}, {"automatic_budget", -1},
                       {"automatic_margin", 0}, {"read_chunk", 0},      {"read_to_device", 0},
                       {"capture", 1},          {"sticky", 0},          {"abort_on_misuse", 0},
                       {"graph_bytes", 0},      {"validity", 0},        {"diagnostics", 0},
                       {"cache_driver", 0}};
  for (auto& [name, value] : settings) {
    std::string variable = "STANDIN_" + name;
    std::transform(variable.begin(), variable.end(), variable.begin(), [](unsigned char c) { return std::toupper(c); });
    if (const char* text = std::getenv(variable.c_str())) value = std::atoll(text);
  }
  return settings;
}

void add_fault(Ledger& ledger, const std::string& function, Fault fault) {
  ledger.functions[function].faults.push_back(fault);
}

void read_faults(Ledger& ledger) {
  const char* text = std::getenv("STANDIN_FAIL");
  std::istringstream entries(text == nullptr ? "" : text);
  for (std::string entry; std::getline(entries, entry, ',');) {
    std::istringstream fields(entry);
    std::string function, number;
    std::getline(fields, function, ':');
    int64_t numbers[3] = {1, 1, 0};
    for (int64_t& field : numbers) {
      if (std::getline(fields, number, ':')) field = std::atoll(number.c_str());
    }
    add_fault(ledger, function, Fault{numbers[0], numbers[1], static_cast<int>(numbers[2])});
  }
}

thread_local int depth = 0;   // stand-in functions that the thread is in
thread_local int exempt = 0;  // standin_exempt(1), less those undone

std::recursive_mutex& mutex() {
  static auto* mutex = new std::recursive_mutex;  // never destroyed: other libraries' destructors may still call
  return *mutex;
}

Ledger& ledger() {
  static Ledger* ledger = [] {
    auto* made = new Ledger;
    made->settings = initial_settings();
    read_faults(*made);
    return made;
  }();
  return *ledger;
}

int64_t find(const std::map<std::string, int64_t, std::less<>>& map, const char* key, int64_t otherwise) {
  auto found = map.find(key);
  return found == map.end() ? otherwise : found->second;
}

Live live(const char* kind) {
  auto found = ledger().live.find(kind);
  return found == ledger().live.end() ? Live{} : found->second;
}

}  // namespace

Lock::Lock() {
  mutex().lock();
  ++depth;
}
Lock::~Lock() {
  --depth;
  mutex().unlock();
}

std::optional<int> enter(const char* function, bool can_fail) {
  if (exempt > 0) return std::nullopt;
  auto found = ledger().functions.find(function);
  if (found == ledger().functions.end()) found = ledger().functions.emplace(function, Function{}).first;
  Function& entry = found->second;
  ++entry.calls;
  entry.can_fail = can_fail;
  std::optional<int> error;
  for (Fault& fault : entry.faults) {
    if (--fault.at > 0 || fault.times <= 0) continue;
    --fault.times;
    error = fault.error;
  }
  if (error.has_value() && can_fail) ++ledger().injected;
  return can_fail ? error : std::nullopt;
}

bool exempt_now() { return exempt > 0; }

int& lost_device() {
  static int error = 0;
  return error;
}

void misuse(const std::string& what) {
  if (setting("abort_on_misuse") != 0) {
    std::fprintf(stderr, "stand-in: misuse: %s\n", what.c_str());
    std::abort();
  }
  ledger().misuses.push_back(what);
}

void count_bytes(const char* kind, int64_t bytes) { ledger().bytes[kind] += bytes; }

void count_live(const char* kind, int64_t objects, int64_t bytes) {
  Live& live = ledger().live[kind];
  live.objects += objects;
  live.bytes += bytes;
  live.peak_bytes = std::max(live.peak_bytes, live.bytes);
}

int64_t setting(const char* name) { return find(ledger().settings, name, -1); }

int64_t held_bytes(int device) { return ledger().held[device]; }

}  // namespace standin

using standin::ledger;

void standin_reset() {
  auto guard = standin::lock();
  for (auto& [name, function] : ledger().functions) function = {};
  ledger().bytes.clear();
  ledger().misuses.clear();
  ledger().settings = standin::initial_settings();
  ledger().injected = 0;
  standin::lost_device() = 0;
  for (int64_t& held : ledger().held) held = 0;
  for (auto& [kind, live] : ledger().live) live.peak_bytes = live.bytes;
  standin::read_faults(ledger());
}

int standin_inside() { return standin::depth > 0; }

int standin_set(const char* setting, int64_t value) {
  auto guard = standin::lock();
  auto found = ledger().settings.find(setting);
  if (found == ledger().settings.end()) return -1;
  found->second = value;
  return 0;
}

int64_t standin_get(const char* setting) {
  auto guard = standin::lock();
  return standin::setting(setting);
}

void standin_leave_free(int device, int64_t bytes) {
  auto guard = standin::lock();
  if (device < 0 || device >= standin::kMaxDevices) return;
  int64_t& held = ledger().held[device];
  held = 0;
  if (bytes >= 0) held = std::max<int64_t>(0, standin::free_bytes(device) - bytes);
}

int64_t standin_free_bytes(int device) {
  auto guard = standin::lock();
  return device < 0 || device >= standin::kMaxDevices ? -1 : standin::free_bytes(device);
}

void standin_fail(const char* function, int64_t nth, int64_t times, int error) {
  auto guard = standin::lock();
  standin::add_fault(ledger(), function, standin::Fault{nth, times, error});
}

void standin_clear_faults() {
  auto guard = standin::lock();
  for (auto& [name, function] : ledger().functions) function.faults.clear();
}

void standin_exempt(int on) { standin::exempt += on != 0 ? 1 : -1; }

int64_t standin_injected() {
  auto guard = standin::lock();
  return ledger().injected;
}

int64_t standin_calls(const char* function) {
  auto guard = standin::lock();
  auto found = ledger().functions.find(function);
  return found == ledger().functions.end() ? 0 : found->second.calls;
}

int standin_function_count() {
  auto guard = standin::lock();
  int count = 0;
  for (const auto& [name, function] : ledger().functions) count += function.calls > 0;
  return count;
}

const char* standin_function_name(int index) {
  auto guard = standin::lock();
  for (const auto& [name, function] : ledger().functions) {
    if (function.calls > 0 && index-- == 0) return name.c_str();
  }
  return nullptr;
}

int standin_can_fail(const char* function) {
  auto guard = standin::lock();
  auto found = ledger().functions.find(function);
  return found != ledger().functions.end() && found->second.calls > 0 && found->second.can_fail;
}

int64_t standin_bytes(const char* kind) {
  auto guard = standin::lock();
  return standin::find(ledger().bytes, kind, 0);
}

int64_t standin_live(const char* kind) {
  auto guard = standin::lock();
  return standin::live(kind).objects;
}

int64_t standin_live_bytes(const char* kind) {
  auto guard = standin::lock();
  return standin::live(kind).bytes;
}

int64_t standin_peak_bytes(const char* kind) {
  auto guard = standin::lock();
  return standin::live(kind).peak_bytes;
}

int64_t standin_misuses() {
  auto guard = standin::lock();
  return static_cast<int64_t>(ledger().misuses.size());
}

const char* standin_misuse(int64_t index) {
  auto guard = standin::lock();
  if (index < 0 || index >= static_cast<int64_t>(ledger().misuses.size())) return nullptr;
  return ledger().misuses[static_cast<size_t>(index)].c_str();
}
