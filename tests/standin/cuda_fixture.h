#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "standin.h"

#define ASSERT_CUDA(call) ASSERT_EQ(call, cudaSuccess)
#define EXPECT_CUDA(call) EXPECT_EQ(call, cudaSuccess)

/// Starts each test with fresh stand-ins, and ends it with the rules kept (unless the test took the misuses away).
class StandinTest : public ::testing::Test {
 protected:
  void SetUp() override {
    standin_reset();
    cudaSetDevice(0);
    (void)cudaGetLastError();
    live_ = live_objects();
  }

  void TearDown() override {
    EXPECT_EQ(misuses(), std::vector<std::string>{});
    standin_reset();
    cudaSetDevice(0);
    EXPECT_EQ(live_objects(), live_) << "objects or memory are left over";
  }

  static std::vector<std::string> misuses() {
    std::vector<std::string> all;
    for (int64_t i = 0; i < standin_misuses(); ++i) all.emplace_back(standin_misuse(i));
    return all;
  }

  /// Expects one misuse or more, the first with `words` in it, and forgets them (and all settings).
  static void expect_misuse(const std::string& words) {
    ASSERT_GT(standin_misuses(), 0) << "expected a misuse: " << words;
    EXPECT_NE(std::string(standin_misuse(0)).find(words), std::string::npos) << standin_misuse(0);
    standin_reset();
  }

  static std::vector<int64_t> live_objects() {
    std::vector<int64_t> live;
    for (const char* kind : {"device", "pinned", "weights", "scratch", "context", "stream", "event", "graph",
                             "graph_exec", "runtime", "engine", "execution_context", "refitter", "host_memory"}) {
      live.push_back(standin_live(kind));
    }
    return live;
  }

 private:
  std::vector<int64_t> live_;
};
