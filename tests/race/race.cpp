#include "race.h"

#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/core/evalue.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "../delegate/fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/memory.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::aten::ScalarType;
using executorch::runtime::Error;
using executorch::runtime::EValue;

constexpr int kRuns = 4000, kChanges = 1000, kReports = 4000, kLoads = 400, kSleeps = 200;
constexpr int64_t kTooMuch = int64_t{1} << 60;  // bytes

/// One run, with memory of the calling thread: Loaded::run() keeps its output in the handle that threads share here.
bool runs(const Loaded& loaded, int rows, float value) {
  std::vector<float> input(static_cast<size_t>(rows) * 2, value), output(8, -1);
  auto x = executorch::extension::make_tensor_ptr({rows, 2}, input.data(), ScalarType::Float);
  auto y = executorch::extension::make_tensor_ptr({4, 2}, output.data(), ScalarType::Float);
  EValue x_value(*x), y_value(*y);
  EValue* args[] = {&x_value, &y_value};
  executorch::runtime::BackendExecutionContext context;
  if (backend().execute(context, loaded.handle, {args, 2}) != Error::Ok) return false;
  return std::all_of(output.begin(), output.begin() + static_cast<ptrdiff_t>(rows) * 2,
                     [value](float each) { return each == 2 * value; });
}

Error set_option(LoadOptions options) { return executorch::runtime::set_option(kBackendId, options.view()); }

Error set_percent(uint64_t id, int percent) {
  LoadOptions options;
  options.set_percent(percent);
  return set_budget(id, {options.view().data(), options.view().size()});
}

Error get_option(const std::string& key) {
  executorch::runtime::BackendOption option{};
  std::copy(key.begin(), key.end(), option.key);
  option.value = 0;
  return executorch::runtime::get_option(kBackendId, {&option, 1});
}

/// What a call of `error` counts as: nothing, where it succeeded or the engine it names has gone, or sleeps.
bool is_wrong(Error error) {
  return error != Error::Ok && error != Error::InvalidArgument && error != Error::InvalidState;
}

}  // namespace

void race(const MakeBlob& make_blob) {
  executorch::runtime::MemoryAllocator program(0, nullptr);
  std::atomic<int> wrong_runs{0}, wrong_loads{0}, wrong_changes{0}, wrong_reports{0};
  {
    Loaded shared(make_blob("shared"), {{"weight_streaming_budget", 1000}}, {}, &program);
    ASSERT_EQ(shared.error, Error::Ok) << last_error().message;
    const uint64_t id = engines().at(0).id;
    const std::string device = engines().at(0).device;
    Loaded sleeper(make_blob("sleeper"), {{"weight_streaming_budget", 1000}});
    const uint64_t sleeper_id = engines().at(1).id;

    auto run = [&](int seed) {
      for (int i = 0; i < kRuns; ++i) wrong_runs += !runs(shared, 1 + i / 64 % 4, static_cast<float>(seed + i));
    };
    auto load = [&](int seed) {
      for (int i = 0; i < kLoads; ++i) {
        const std::string name = "own" + std::to_string(seed) + "-" + std::to_string(i % 3);
        Loaded own(make_blob(name), {{"weight_streaming_budget", i * kStreamable / kLoads}}, {},
                   i % 2 == 0 ? &program : nullptr);
        if (own.error != Error::Ok) {
          ++wrong_loads;
          continue;
        }
        for (int n = 0; n < 3; ++n) wrong_runs += !runs(own, 1 + n, static_cast<float>(i));
      }  // destroyed while others list, change and report it
    };
    auto change = [&] {
      for (int i = 0; i < kChanges; ++i) {
        wrong_changes += set_percent(id, i % 101) != Error::Ok;
        wrong_changes += is_wrong(set_option(LoadOptions().set_budget_per_engine(i * kStreamable / kChanges)));
        wrong_changes += is_wrong(set_option(LoadOptions().set_budget("own1-" + std::to_string(i % 3), i)));
        const auto all = engines();
        wrong_changes += is_wrong(set_percent(all.back().id, i % 101));
      }
    };
    auto arbitrate = [&] {
      for (int i = 0; i < kSleeps; ++i) {
        wrong_changes += make_room(device, kTooMuch).error() != Error::MemoryAllocationFailed;
        wrong_changes += set_priority({id}, i) != Error::Ok;
        wrong_changes += set_headroom(device, i % 2 == 0 ? kTooMuch : 0) != Error::Ok;  // takes all there is
        wrong_changes += !give_back().ok();
      }
      wrong_changes += set_headroom(device, 0) != Error::Ok;
    };
    auto sleep_and_wake = [&] {
      const Follower follower(std::chrono::milliseconds(1));
      for (int i = 0; i < kSleeps; ++i) {
        wrong_changes += torchtrt_ws::sleep({sleeper_id}) != Error::Ok;
        wrong_runs += runs(sleeper, 1, static_cast<float>(i));
        wrong_changes += wake({sleeper_id}) != Error::Ok;
        wrong_runs += !runs(sleeper, 1, static_cast<float>(i));
      }
    };
    auto report = [&] {
      for (int i = 0; i < kReports; ++i) {
        const EngineReport one = engine(id);
        wrong_reports += one.name != "shared" || one.budget_bytes < 0 || one.budget_bytes > kStreamable;
        for (const EngineReport& each : engines()) wrong_reports += each.name.empty() || each.kind.empty();
        wrong_reports += is_wrong(get_option("engine.shared")) || is_wrong(get_option("engines"));
        wrong_reports += is_wrong(get_option("weight_streaming_budget.own2-1"));
      }
    };

    std::vector<std::thread> threads;
    threads.emplace_back(run, 1);
    threads.emplace_back(run, 2);
    threads.emplace_back(load, 1);
    threads.emplace_back(load, 2);
    threads.emplace_back(change);
    threads.emplace_back(change);
    threads.emplace_back(arbitrate);
    threads.emplace_back(sleep_and_wake);
    threads.emplace_back(report);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(engine(id).runs, 2u * kRuns);
  }
  EXPECT_EQ(wrong_runs, 0);
  EXPECT_EQ(wrong_loads, 0);
  EXPECT_EQ(wrong_changes, 0);
  EXPECT_EQ(wrong_reports, 0);
  EXPECT_TRUE(engines().empty());
}

}  // namespace torchtrt_ws::testing
