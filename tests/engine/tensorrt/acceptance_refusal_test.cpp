// Acceptance: plans and metadata that cannot work are refused with a reason, and nothing is left behind.
#include "acceptance.h"

namespace torchtrt_ws::testing {
namespace {

class Refusal : public Acceptance {
 protected:
  static Result<std::unique_ptr<Engine>> open(const std::vector<uint8_t>& plan) {
    return open_plan(plan, acceptance_metadata());
  }
};

TEST_F(Refusal, Garbage) {
  std::vector<uint8_t> garbage(100000);
  for (size_t i = 0; i < garbage.size(); ++i) garbage[i] = static_cast<uint8_t>(i * i >> 7);
  if (is_rtx()) std::copy_n("vtrt", 4, garbage.begin());  // else TensorRT would be asked, and may not be there
  failed_with(open(garbage), ErrorCode::BadEngine);
  EXPECT_FALSE(open({1}).ok());
}

TEST_F(Refusal, Nothing) { failed_with(open({}), ErrorCode::BadEngine); }

TEST_F(Refusal, TruncatedPlans) {
  const std::vector<uint8_t>& plan = acceptance_plan();
  for (const size_t keep : {size_t{4}, size_t{20}, size_t{31}, size_t{100}, plan.size() / 2, plan.size() - 1}) {
    failed_with(open({plan.begin(), plan.begin() + static_cast<ptrdiff_t>(keep)}), ErrorCode::BadEngine);
  }
}

TEST_F(Refusal, AnExecuTorchProgram) {
  std::vector<uint8_t> program(1000);
  const char magic[] = "ET12";
  std::copy(magic, magic + 4, program.begin() + 4);
  failed_with(open(program), ErrorCode::Incompatible);
}

TEST_F(Refusal, ADeviceThatIsNotThere) {
  OpenOptions options;
  options.device_id = 4096;
  const std::string message = failed_with(Acceptance::open(options), ErrorCode::NotSupported);
  EXPECT_NE(message.find("4096"), std::string::npos) << message;
  options.device_id.reset();
  options.metadata_device = 4096;
  failed_with(Acceptance::open(options), ErrorCode::NotSupported);
}

TEST_F(Refusal, APlanForAnotherPlatform) {
  Metadata metadata = acceptance_metadata();
  for (const char* other : {"windows_x86_64", "windows_arm64", "win_x86_64", "linux_riscv64"}) {
    metadata.target_platform = other;
    const std::string message = failed_with(open_plan(acceptance_plan(), metadata), ErrorCode::Incompatible);
    EXPECT_NE(message.find(other), std::string::npos) << message;
  }
  for (const char* harmless : {"", "unknown"}) {
    metadata.target_platform = harmless;
    EXPECT_TRUE(is_ok(open_plan(acceptance_plan(), metadata))) << harmless;
  }
}

TEST_F(Refusal, MetadataOfAnotherEngine) {
  const std::vector<std::vector<Binding>> wrong = {
      {{"x", "float32", {-1, width()}, true}},
      {{"other", "float32", {-1, width()}, true}, {"y", "float32", {-1, width()}, false}},
      {{"x", "float32", {-1, width()}, false}, {"y", "float32", {-1, width()}, true}},
      {{"x", "float32", {-1, width()}, true}, {"x", "float32", {-1, width()}, true}},
  };
  for (const auto& bindings : wrong) {
    failed_with(open_plan(acceptance_plan(), metadata_of(bindings)), ErrorCode::BadBlob);
  }
}

TEST_F(Refusal, AGoodPlanStillLoadsAfterwards) {
  EXPECT_FALSE(open(std::vector<uint8_t>(5000, 0x33)).ok());
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 2));
}

}  // namespace
}  // namespace torchtrt_ws::testing
