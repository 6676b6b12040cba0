// A budget change among runs: it is not overtaken, and reports wait for neither.

#include "delegate/handle.h"

#include <executorch/extension/tensor/tensor_ptr.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "delegate/apply.h"
#include "fake_engine.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::aten::ScalarType;
using Calls = std::vector<std::string>;

class HandleInThreads : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().free = 10000;
    Metadata metadata;
    const std::string name = "e";
    auto engine = open_fake(Payload(nullptr, 0, nullptr), {metadata, name, {}});
    ProgramMemory memory(*engine.value(), std::nullopt, {}, std::nullopt);
    auto applied = apply_budget(*engine.value(), of(300), std::nullopt, name, memory);
    handle_ = std::make_unique<Handle>(Identity{1, name, "forward", "fake", nullptr}, std::nullopt,
                                       std::move(engine).value(), applied.value());
    device().calls.clear();
  }

  static Request of(int64_t bytes) {
    Request request;
    request.general = Bytes{bytes};
    return request;
  }

  void run() { EXPECT_TRUE(run_once().ok()); }

  Status run_once() {
    float data[4] = {};
    auto x = executorch::extension::make_tensor_ptr({1, 2}, data, ScalarType::Float);
    auto y = executorch::extension::make_tensor_ptr({1, 2}, data + 2, ScalarType::Float);
    executorch::runtime::EValue input(*x), output(*y);
    executorch::runtime::EValue* args[] = {&input, &output};
    return handle_->execute({args, 2});
  }

  /// Starts a run that stays in the engine until release_.
  std::thread blocked_run() {
    device().on_run = [this] {
      device().on_run = nullptr;  // the next runs pass
      entered_.set_value();
      release_.get_future().wait();
    };
    std::thread runner([this] { run(); });
    entered_.get_future().wait();
    return runner;
  }

  void until_waiting(size_t count) const {
    while (handle_->waiting() != count) std::this_thread::yield();
  }

  std::unique_ptr<Handle> handle_;
  std::promise<void> entered_, release_;
};

TEST_F(HandleInThreads, AChangeWaitsForTheRunsBeforeItAndForNoOther) {
  std::thread first = blocked_run();
  std::thread second([this] { run(); });
  until_waiting(1);
  std::thread change([this] { EXPECT_TRUE(handle_->change_budget(of(100), {}).ok()); });
  until_waiting(2);
  std::thread later([this] { run(); });
  until_waiting(3);
  release_.set_value();
  for (std::thread* thread : {&first, &second, &change, &later}) thread->join();
  EXPECT_EQ(device().calls, (Calls{"run", "run", "drop", "set 100", "make", "run"}));
}

TEST_F(HandleInThreads, SleepingWaitsForTheRunsBeforeItAndTheNextOneIsRefused) {
  std::thread first = blocked_run();
  std::thread sleeper([this] { EXPECT_TRUE(handle_->sleep().ok()); });
  until_waiting(1);
  std::thread later([this] {
    const Status ran = run_once();
    ASSERT_FALSE(ran.ok());
    EXPECT_EQ(ran.failure().code, ErrorCode::WrongState);
    EXPECT_NE(ran.failure().message().find("wake()"), std::string::npos) << ran.failure().message();
  });
  until_waiting(2);
  EXPECT_TRUE(handle_->awake()) << "not yet, and a report does not wait for it";
  EXPECT_FALSE(handle_->report().asleep);
  release_.set_value();
  for (std::thread* thread : {&first, &sleeper, &later}) thread->join();
  EXPECT_EQ(device().calls, (Calls{"run", "drop", "set 0"}));
  EXPECT_FALSE(handle_->awake());
  ASSERT_TRUE(handle_->wake().ok());
  run();
}

TEST_F(HandleInThreads, AReportDoesNotWaitForARun) {
  run();
  std::thread blocked = blocked_run();
  const EngineReport report = handle_->report();  // a deadlock here would be the failure
  EXPECT_EQ(report.name, "e");
  EXPECT_EQ(report.runs, 1u);
  EXPECT_GE(report.seconds, 0);
  EXPECT_EQ(report.budget_bytes, 300);
  EXPECT_EQ(report.source, "load-time");
  EXPECT_EQ(report.scratch_bytes, 100);
  EXPECT_EQ(report.device_bytes, 300 + 100 + 50);
  release_.set_value();
  blocked.join();
  EXPECT_EQ(handle_->report().runs, 2u);
}

TEST_F(HandleInThreads, WhileARunIsBusyAReportHasTheBudgetOfTheLastChange) {
  ASSERT_TRUE(handle_->change_budget(of(200), {}).ok());
  std::thread blocked = blocked_run();
  EXPECT_EQ(handle_->report().budget_bytes, 200);
  EXPECT_EQ(handle_->report().device_bytes, 200 + 100 + 50);
  release_.set_value();
  blocked.join();
  device().free = 10;
  EXPECT_FALSE(handle_->change_budget(of(800), {}).ok());
  EXPECT_EQ(handle_->report().budget_bytes, 200) << "the old budget is back";
}

TEST_F(HandleInThreads, AfterClosingAReportHasTheRunsAndNoEngine) {
  run();
  handle_->close();
  EXPECT_EQ(handle_->report().runs, 1u);
  EXPECT_EQ(handle_->report().device_bytes, 0);
  EXPECT_EQ(handle_->report().streamable_bytes, 0);
}

}  // namespace
}  // namespace torchtrt_ws::testing
