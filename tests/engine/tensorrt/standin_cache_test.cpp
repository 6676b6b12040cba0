// TensorRT-RTX's runtime cache. Only an adapter that was compiled with TensorRT-RTX's own headers has one; the others
// say so, once, when a folder is asked for.
#include <NvInferVersion.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

namespace fs = std::filesystem;

class StandinCache : public Adapter {
 protected:
  void SetUp() override {
    Adapter::SetUp();
    char path[] = "/tmp/standin_cache_test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
    options_.runtime_cache = root_ + "/cache";
  }
  void TearDown() override {
    fs::remove_all(root_);
    EXPECT_EQ(standin_live("runtime_cache") + standin_live("runtime_config"), 0);
    Adapter::TearDown();
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (!fs::exists(options_.runtime_cache)) return found;
    for (const auto& each : fs::directory_iterator(options_.runtime_cache)) {
      if (each.path().extension() == ".runtime") found.push_back(each.path());
    }
    return found;
  }

  std::string root_;
  OpenOptions options_;
};

#ifdef TRT_MAJOR_RTX

class RuntimeCacheTest : public StandinCache {
 protected:
  void SetUp() override {
    StandinCache::SetUp();
    if (!is_rtx()) GTEST_SKIP() << "plans of TensorRT have none";
  }

  /// Kernels that TensorRT-RTX compiled to load and run once; in the files it has a process of its own.
  int64_t compiled(const std::vector<SizesType>& rows = {1}, const PlanText& text = {}) {
    const int64_t before = standin_calls("compileKernel");
    auto engine = ready(text, options_);
    EXPECT_NE(engine, nullptr);
    if (engine == nullptr) return -1;
    for (const SizesType each : rows) EXPECT_TRUE(runs(*engine, each));
    counters_ = engine->counters();
    return standin_calls("compileKernel") - before;
  }

  EngineCounters counters_;
};

TEST_F(RuntimeCacheTest, WhatOneEngineCompiledTheNextOneFinds) {
  EXPECT_EQ(compiled(), 2) << "the context's, and that of one shape";
  EXPECT_EQ(counters_.cache_hits, 0u);
  EXPECT_EQ(counters_.cache_misses, 1u);
  ASSERT_EQ(files().size(), 1u);
  EXPECT_EQ(compiled(), 0);
  EXPECT_EQ(counters_.cache_hits, 1u);
  EXPECT_EQ(counters_.cache_misses, 0u);
  EXPECT_GT(counters_.context_seconds, 0);
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(RuntimeCacheTest, AContextIsSavedBeforeTheFirstRun) {
  auto engine = ready({}, options_);  // a process that is killed now
  ASSERT_NE(engine, nullptr);
  ASSERT_EQ(files().size(), 1u);
  EXPECT_EQ(compiled({1}), 1) << "the shape alone";
}

TEST_F(RuntimeCacheTest, NewShapesAreAddedWhenTheContextGoes) {
  EXPECT_EQ(compiled({1, 2}), 3);
  EXPECT_EQ(compiled({1, 2, 3}), 1);
  EXPECT_EQ(compiled({3, 2, 1}), 0);
}

TEST_F(RuntimeCacheTest, NothingIsWrittenInARun) {
  auto engine = ready({}, options_);
  ASSERT_NE(engine, nullptr);
  const int64_t before = standin_calls("IRuntimeCache::serialize");
  for (const SizesType rows : {1, 2, 3}) ASSERT_TRUE(runs(*engine, rows));
  EXPECT_EQ(standin_calls("IRuntimeCache::serialize"), before);
}

TEST_F(RuntimeCacheTest, OfEnginesThatShareThePlanOnlyTheLastContextIsSaved) {
  auto first = ready({}, options_);
  ASSERT_NE(first, nullptr);
  const Metadata metadata = acceptance_metadata();
  const std::string name = "second";
  const OpenRequest request{metadata, name, {}};
  Payload none(nullptr, 0, [] {});
  auto shared = first->share(none, request);
  ASSERT_TRUE(is_ok(shared));
  ASSERT_TRUE(is_ok(shared.value()->make_context()));
  ASSERT_TRUE(runs(*shared.value(), 2));
  const int64_t before = standin_calls("IRuntimeCache::serialize");
  first.reset();
  EXPECT_EQ(standin_calls("IRuntimeCache::serialize"), before) << "the other may be running";
  shared.value().reset();
  EXPECT_GT(standin_calls("IRuntimeCache::serialize"), before);
  EXPECT_EQ(compiled({2}), 0);
}

TEST_F(RuntimeCacheTest, PlansDevicesAndBudgetsHaveTheirs) {
  EXPECT_EQ(compiled(), 2);
  PlanText other;
  other.streamable = 32 << 20;
  EXPECT_EQ(compiled({1}, other), 2);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_EQ(compiled(), 0);
  standin_set("compute", 120);
  EXPECT_EQ(compiled({1},
                     [] {
                       PlanText text;
                       text.compute = 0;
                       return text;
                     }()),
            2)
      << "another plan and device";
  EXPECT_EQ(files().size(), 3u);
}

TEST_F(RuntimeCacheTest, OffIsOff) {
  options_.runtime_cache = "off";
  const int64_t before = standin_calls("createRuntimeConfig");
  EXPECT_EQ(compiled(), 2);
  EXPECT_EQ(standin_calls("createRuntimeConfig"), before);
  EXPECT_EQ(compiled(), 2);
}

TEST_F(RuntimeCacheTest, DamagedBytesNeverReachTensorRT) {
  ASSERT_EQ(compiled(), 2);
  const fs::path file = files().at(0);
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (const size_t at : {size_t{0}, size_t{9}, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    std::ofstream(file, std::ios::binary) << damaged;
    EXPECT_EQ(compiled(), 2) << at;  // a misuse of the stand-in would end the test
    EXPECT_EQ(counters_.cache_misses, 1u);
    EXPECT_EQ(compiled(), 0) << "it was written again";
  }
}

TEST_F(RuntimeCacheTest, WhatTensorRTDoesNotTakeIsReplaced) {
  ASSERT_EQ(compiled({1, 2, 3}), 4);
  standin_set("cache_driver", 7);
  EXPECT_EQ(compiled({1}), 2) << "of another driver";
  EXPECT_EQ(counters_.cache_hits, 0u);
  EXPECT_EQ(compiled({1}), 0) << "a smaller one took its place";
}

TEST_F(RuntimeCacheTest, AFolderThatCannotBeUsedCostsTheCacheAndNothingElse) {
  std::ofstream(root_ + "/file") << "no folder";
  options_.runtime_cache = root_ + "/file";
  EXPECT_EQ(compiled(), 2);
  EXPECT_EQ(counters_.cache_misses, 0u);
}

TEST_F(RuntimeCacheTest, WhereTensorRTGivesNoneContextsAreMadeWithout) {
  for (const char* function :
       {"createRuntimeConfig", "createRuntimeCache", "setRuntimeCache", "IRuntimeCache::serialize"}) {
    standin_fail(function, 1, 100, 0);
    EXPECT_EQ(compiled(), 2) << function;
    EXPECT_TRUE(files().empty()) << function;
    standin_clear_faults();
  }
}

TEST_F(RuntimeCacheTest, BlocksOfActivationMemoryWorkWithIt) {
  const int program = 0;
  options_.program = &program;
  EXPECT_EQ(compiled(), 2);
  EXPECT_EQ(compiled(), 0);
}

TEST_F(RuntimeCacheTest, AContextThatDoesNotFitIsNoCacheToWrite) {
  standin_fail("createExecutionContext", 1, 1, 0);
  auto engine = open({}, options_);
  ASSERT_TRUE(is_ok(engine));
  EXPECT_FALSE(engine.value()->make_context().ok());
  EXPECT_TRUE(files().empty());
  ASSERT_TRUE(is_ok(engine.value()->make_context()));
  EXPECT_EQ(files().size(), 1u);
}

#else

TEST_F(StandinCache, WithoutTheHeadersThereIsNone) {
  auto engine = ready({}, options_);
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 1));
  EXPECT_EQ(engine->counters().cache_misses, 0u);
  EXPECT_FALSE(fs::exists(options_.runtime_cache)) << "no folder is made for nothing";
}

#endif

}  // namespace
}  // namespace torchtrt_ws::testing
