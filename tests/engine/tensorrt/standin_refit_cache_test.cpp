// The plan that a refit gave is kept, and read by the next load: what is read, when it is not, and what a damaged or
// unusable cache costs. y = 2 * x + 1 holds only where the plan got its weights.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "digest/sha256.h"
#include "standin_support.h"
#include "weights_support.h"

namespace torchtrt_ws::testing {
namespace {

namespace fs = std::filesystem;

/// What is logged while it lives.
class LogLines {
 public:
  LogLines() { ::testing::internal::CaptureStderr(); }
  ~LogLines() { stop(); }
  int count(const std::string& words) {
    stop();
    int found = 0;
    for (size_t at = text_.find(words); at != std::string::npos; at = text_.find(words, at + 1)) ++found;
    return found;
  }

 private:
  void stop() {
    if (!std::exchange(stopped_, true)) text_ = ::testing::internal::GetCapturedStderr();
  }
  bool stopped_ = false;
  std::string text_;
};

class StandinRefitCache : public Adapter {
 protected:
  void SetUp() override {
    Adapter::SetUp();
    char path[] = "/tmp/standin_refit_cache_test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
    folder_ = root_ + "/cache";
    text_.streamable = 512;  // bytes, as many as a plan with its weights may have
    text_.extra = "refittable 1\nweight scale float32 1\nweight offset float32 1\n";
    text_.io =
        "input x float32 1,4 8,4 8,4\n"
        "output y float32 affine 0 1*x scale scale offset offset\n";
    weights_.add("scale", {2});
    weights_.add("offset", {1});
  }
  void TearDown() override {
    fs::remove_all(root_);
    Adapter::TearDown();
  }

  Result<std::unique_ptr<Engine>> open(Verify verify = Verify::Checksum) const {
    const auto plan = std::make_shared<std::vector<uint8_t>>(plan_bytes(text_));
    Metadata metadata = weights_.metadata(acceptance_metadata());
    metadata.own->sha256 = sha256_hex(plan->data(), plan->size());
    const std::string name = "forward";
    OpenRequest request{metadata, name, {}, GraphUse::Off, verify};
    request.weights = &weights_;
    request.refit_cache = folder_;
    return tensorrt_kind()(Payload(plan->data(), plan->size(), [plan] {}), request);
  }

  /// Loads and runs once: how many times TensorRT refitted for it.
  int64_t refits(Verify verify = Verify::Checksum) {
    const int64_t before = standin_calls("refitCudaEngine");
    auto opened = open(verify);
    if (!is_ok(opened)) {
      ADD_FAILURE() << opened.failure().message();
      return -1;
    }
    Engine& engine = *opened.value();
    EXPECT_TRUE(is_ok(engine.set_budget(engine.streamable_bytes() / 2)));
    EXPECT_TRUE(is_ok(engine.make_context()));
    EXPECT_TRUE(runs(engine, 3));
    counters_ = engine.counters();
    return standin_calls("refitCudaEngine") - before;
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (!fs::exists(folder_)) return found;
    for (const auto& each : fs::directory_iterator(folder_)) {
      if (each.path().extension() == ".refit") found.push_back(each.path());
    }
    return found;
  }

  void change_byte(const fs::path& path, std::streamoff at) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at, at < 0 ? std::ios::end : std::ios::beg);
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at, at < 0 ? std::ios::end : std::ios::beg);
    file.put(byte);
  }

  std::string root_, folder_;
  PlanText text_;
  HeldWeights weights_;
  EngineCounters counters_;
};

TEST_F(StandinRefitCache, TheSecondLoadDoesNotRefit) {
  EXPECT_EQ(refits(), 1);
  EXPECT_EQ(counters_.cache_hits, 0u);
  EXPECT_EQ(counters_.cache_misses, 1u);
  ASSERT_EQ(files().size(), 1u);
  EXPECT_EQ(refits(), 0);
  EXPECT_EQ(counters_.cache_hits, 1u);
  EXPECT_EQ(counters_.cache_misses, 0u);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(weights_.given, 0) << "nothing of the data file is held";
  EXPECT_EQ(standin_live("serialization_config") + standin_live("host_memory"), 0);
}

TEST_F(StandinRefitCache, OffIsOff) {
  folder_ = "off";
  EXPECT_EQ(refits(), 1);
  EXPECT_EQ(refits(), 1);
  EXPECT_EQ(standin_calls("serializeWithConfig"), 0);
  EXPECT_FALSE(fs::exists("off"));
}

TEST_F(StandinRefitCache, OtherWeightsOrAnotherPlanAreNotFound) {
  EXPECT_EQ(refits(), 1);
  HeldWeights same = weights_;
  weights_ = HeldWeights();
  weights_.add("scale", {2});
  weights_.add("offset", {3});
  const int64_t before = standin_calls("refitCudaEngine");
  auto other = open();
  ASSERT_TRUE(is_ok(other));
  ASSERT_TRUE(is_ok(other.value()->make_context()));
  EXPECT_FALSE(runs(*other.value(), 3)) << "it is y = 2 * x + 3 now";
  EXPECT_EQ(standin_calls("refitCudaEngine") - before, 1);
  EXPECT_EQ(files().size(), 2u);
  weights_ = same;
  text_.context += 4096;
  EXPECT_EQ(refits(), 1) << "another plan";
  EXPECT_EQ(files().size(), 3u);
}

TEST_F(StandinRefitCache, ADamagedPlanIsSaidAndMadeAgain) {
  EXPECT_EQ(refits(), 1);
  for (const std::streamoff at : {std::streamoff{0}, std::streamoff{-1}, std::streamoff{4096 + 40}}) {
    change_byte(files().at(0), at);
    LogLines log;
    EXPECT_EQ(refits(), 1) << at;
    EXPECT_EQ(log.count("the plan in the refit cache is not used") > 0, at != 0) << "a header says nothing of a plan";
    EXPECT_EQ(refits(), 0) << at;
  }
}

TEST_F(StandinRefitCache, EvenALoadThatComparesNothingComparesThis) {
  EXPECT_EQ(refits(), 1);
  change_byte(files().at(0), -1);
  EXPECT_EQ(refits(Verify::Off), 1);
  EXPECT_TRUE(files().empty()) << "weights that nobody compared are not kept";
}

TEST_F(StandinRefitCache, ADigestWantsWeightsThatWereComparedByDigest) {
  EXPECT_EQ(refits(Verify::Checksum), 1);
  EXPECT_EQ(refits(Verify::Digest), 1);
  EXPECT_EQ(refits(Verify::Digest), 0);
  EXPECT_EQ(refits(Verify::Checksum), 0);
}

TEST_F(StandinRefitCache, WithoutTheDataFileNothingLoads) {
  EXPECT_EQ(refits(), 1);
  weights_.held.erase(weights_.held.begin());
  failed_with(open(), ErrorCode::BadEngine);
}

TEST_F(StandinRefitCache, AFolderThatCannotBeUsedIsSaidOnceAndTheLoadGoesOn) {
  std::ofstream(root_ + "/file") << "no folder";
  folder_ = root_ + "/file";
  LogLines log;
  EXPECT_EQ(refits(), 1);
  EXPECT_EQ(log.count("is not kept in a refit cache"), 1);
}

TEST_F(StandinRefitCache, AFailureToSerializeCostsTheCacheAlone) {
  for (const char* function : {"createSerializationConfig", "serializeWithConfig"}) {
    standin_fail(function, 1, 1, 0);
    LogLines log;
    EXPECT_EQ(refits(), 1) << function;
    EXPECT_EQ(log.count("is not kept in a refit cache"), 1) << function;
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(StandinRefitCache, WantOfMemoryIsNotTheCachesFault) {
  EXPECT_EQ(refits(), 1);
  standin_set("device_bytes", 1 << 16);
  const auto opened = open();
  if (!opened.ok()) {
    EXPECT_EQ(opened.failure().code, ErrorCode::DoesNotFit) << opened.failure().message();
  }
  EXPECT_FALSE(opened.ok());
  EXPECT_EQ(files().size(), 1u) << "it is good, and stays";
}

TEST_F(StandinRefitCache, WeightsThatAreRefusedAreNotKept) {
  weights_.held[weights_.listed.tensors[0].key][1] ^= 1;
  failed_with(open(), ErrorCode::BadEngine);
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace torchtrt_ws::testing
