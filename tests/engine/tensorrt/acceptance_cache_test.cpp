// Acceptance: what one process compiled the next one finds (TensorRT-RTX's runtime cache). The second process is this
// program again, with one test.
#include <NvInferVersion.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "acceptance.h"

namespace torchtrt_ws::testing {
namespace {

constexpr char kFolderVariable[] = "TORCHTRT_WS_TEST_CACHE";  // set for the processes that the test below starts
constexpr SizesType kRows = 3;

class Cache : public Acceptance {};

/// What a process said: a line that says how long its context took and what it found.
struct Said {
  double seconds = -1;
  uint64_t hits = 0;
  uint64_t misses = 0;
  int right = 0;
  int exit = -1;
};

Said load_in_a_process(const std::string& folder) {
  Said said;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return said;
  setenv(kFolderVariable, folder.c_str(), 1);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execl("/proc/self/exe", "acceptance", "--gtest_filter=Cache.OneProcess", static_cast<char*>(nullptr));
    _exit(127);
  }
  unsetenv(kFolderVariable);
  close(ends[1]);
  std::FILE* out = fdopen(ends[0], "r");
  char line[256];
  while (std::fgets(line, sizeof(line), out) != nullptr) {
    (void)std::sscanf(line, "one process: seconds=%lf hits=%" SCNu64 " misses=%" SCNu64 " right=%d", &said.seconds,
                      &said.hits, &said.misses, &said.right);
  }
  std::fclose(out);
  waitpid(child, &said.exit, 0);
  return said;
}

TEST_F(Cache, OneProcess) {
  const char* folder = std::getenv(kFolderVariable);
  if (folder == nullptr) GTEST_SKIP() << "a part of the test below";
  OpenOptions options;
  options.runtime_cache = folder;
  auto engine = ready(options);
  ASSERT_NE(engine, nullptr);
  const bool right = static_cast<bool>(runs(*engine, kRows, 5));
  const EngineCounters counters = engine->counters();
  std::printf("one process: seconds=%.6f hits=%" PRIu64 " misses=%" PRIu64 " right=%d\n", counters.context_seconds,
              counters.cache_hits, counters.cache_misses, right ? 1 : 0);
}

TEST_F(Cache, TheSecondProcessFindsWhatTheFirstCompiled) {
#ifndef TRT_MAJOR_RTX
  GTEST_SKIP() << "needs an adapter that was compiled with TensorRT-RTX's own headers";
#endif
  if (!is_rtx()) GTEST_SKIP() << "plans of TensorRT have no such cache";
  char root[] = "/tmp/acceptance_cache_test.XXXXXX";
  ASSERT_NE(mkdtemp(root), nullptr);
  const Said first = load_in_a_process(std::string(root) + "/cache");
  const Said second = load_in_a_process(std::string(root) + "/cache");
  std::filesystem::remove_all(root);
  for (const Said& said : {first, second}) {
    EXPECT_EQ(said.exit, 0);
    EXPECT_EQ(said.right, 1);
  }
  EXPECT_EQ(first.hits, 0u);
  EXPECT_EQ(first.misses, 1u);
  EXPECT_EQ(second.hits, 1u);
  EXPECT_EQ(second.misses, 0u);
  std::printf("first context %.1f ms, second %.1f ms: %.3f\n", first.seconds * 1e3, second.seconds * 1e3,
              second.seconds / first.seconds);
}

}  // namespace
}  // namespace torchtrt_ws::testing
