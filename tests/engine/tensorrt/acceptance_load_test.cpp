// Acceptance: from a plan to an engine, and the life of its context.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "acceptance.h"

namespace torchtrt_ws::testing {
namespace {

class Load : public Acceptance {};

TEST_F(Load, DescribesInputsAndOutputs) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  ASSERT_EQ(engine->inputs().size(), 1u);
  ASSERT_EQ(engine->outputs().size(), 1u);
  for (const TensorSpec& spec : {engine->inputs()[0], engine->outputs()[0]}) {
    EXPECT_EQ(spec.dtype, ScalarType::Float);
    EXPECT_EQ(spec.min, (std::vector<int64_t>{1, width()}));
    EXPECT_EQ(spec.max, (std::vector<int64_t>{kMostRows, width()}));
  }
  EXPECT_EQ(engine->inputs()[0].name, "x");
  EXPECT_EQ(engine->outputs()[0].name, "y");
  EXPECT_GT(engine->streamable_bytes(), 0);
}

TEST_F(Load, ReleasesThePayloadBeforeTheContext) {
  bool released = false;
  auto engine = open({}, &released);
  ASSERT_TRUE(is_ok(engine));
  EXPECT_TRUE(released) << "the plan is still in memory";
  ASSERT_TRUE(is_ok(engine.value()->make_context()));
  EXPECT_TRUE(runs(*engine.value(), 3));
}

TEST_F(Load, ReadsAFileMappingAndLeavesTheFileAlone) {
  const std::vector<uint8_t>& plan = acceptance_plan();
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const std::vector<uint8_t> before(1000, 0x11);  // as in a program: the plan starts in the middle of a page
  ASSERT_EQ(std::fwrite(before.data(), 1, before.size(), file), before.size());
  ASSERT_EQ(std::fwrite(plan.data(), 1, plan.size(), file), plan.size());
  ASSERT_EQ(std::fwrite(before.data(), 1, before.size(), file), before.size());
  std::fflush(file);
  const size_t size = plan.size() + 2 * before.size();
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  const auto* bytes = static_cast<const uint8_t*>(mapped);
  bool released = false;
  Payload payload(bytes + before.size(), plan.size(), [&] { released = true; });
  const Metadata metadata = acceptance_metadata();
  auto engine = tensorrt_kind()(std::move(payload), {metadata, "forward", {}, GraphUse::Off});
  ASSERT_TRUE(is_ok(engine));
  EXPECT_TRUE(released);
  EXPECT_EQ(std::vector<uint8_t>(bytes, bytes + before.size()), before);
  EXPECT_EQ(std::vector<uint8_t>(bytes + before.size(), bytes + before.size() + plan.size()), plan);
  munmap(mapped, size);
  std::fclose(file);
  ASSERT_TRUE(is_ok(engine.value()->make_context()));
  EXPECT_TRUE(runs(*engine.value(), 8));
}

TEST_F(Load, ThePayloadIsReleasedWhenThePlanIsRefusedToo) {
  bool released = false;
  auto engine = open_plan(std::vector<uint8_t>(4096, 0x5A), acceptance_metadata(), {}, &released);
  EXPECT_FALSE(engine.ok());
  EXPECT_TRUE(released);
}

TEST_F(Load, ContextsComeAndGo) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(is_ok(engine->make_context())) << "a second time";
  EXPECT_TRUE(runs(*engine, 2));
  engine->drop_context();
  engine->drop_context();
  Tensor x = make_x(1), y = make_y(1);
  Sink sink({&y});
  failed_with(engine->run({x.view()}, sink), ErrorCode::WrongState);
  EXPECT_TRUE(is_ok(engine->make_context()));
  EXPECT_TRUE(runs(*engine, 2));
}

TEST_F(Load, TwoEnginesLiveSideBySide) {
  auto first = ready(), second = ready({}, 0);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_TRUE(runs(*first, 1, 1));
  EXPECT_TRUE(runs(*second, 8, 2));
  first.reset();
  EXPECT_TRUE(runs(*second, 2, 3));
}

TEST_F(Load, EngineWithoutAContextCanBeDropped) {
  auto engine = open();
  ASSERT_TRUE(is_ok(engine));
}

TEST_F(Load, RestoresTheCurrentDeviceAndTakesDeviceId) {
  if (device_count() < 2) GTEST_SKIP() << "needs two devices";
  OpenOptions options;
  options.metadata_device = 0;
  options.device_id = 1;
  auto engine = ready(options);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(current_device(), 0);
  Tensor x(ScalarType::Float, {2, width()}, Where::Device, 0, 1),
      y(ScalarType::Float, {2, width()}, Where::Device, 0, 1);
  fill_x(x, 5);
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_EQ(current_device(), 0);
  EXPECT_TRUE(is_answer(y, 2, 5));
  ASSERT_TRUE(runs(*engine, 2, 1, Where::Pageable, Where::Pageable));
  engine->drop_context();
  EXPECT_TRUE(is_ok(engine->set_budget(0)));
  EXPECT_EQ(current_device(), 0);
}

}  // namespace
}  // namespace torchtrt_ws::testing
