// A process of its own: ExecuTorch's library for streams comes into it while it runs.

#include "engine/caller_stream.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <thread>

namespace torchtrt_ws {
namespace {

using SetStream = void (*)(void* stream, int wanted);

char here, there;  // addresses that stand for streams

TEST(CallerStream, ExecuTorchsGuardCountsFromTheMomentItsLibraryIsThere) {
  EXPECT_FALSE(caller_stream());
  void* library = dlopen(TORCHTRT_WS_EXECUTORCH_CUDA, RTLD_NOW | RTLD_LOCAL);  // as Python loads what a module needs
  ASSERT_NE(library, nullptr) << dlerror();
  const auto set = reinterpret_cast<SetStream>(dlsym(library, "standin_set_stream"));
  ASSERT_NE(set, nullptr);
  EXPECT_FALSE(caller_stream());

  set(&here, 1);
  ASSERT_TRUE(caller_stream());
  EXPECT_EQ(caller_stream()->stream, &here);
  EXPECT_FALSE(caller_stream()->may_return_early);
  std::thread([] { EXPECT_FALSE(caller_stream()); }).join();
  {
    const CallerStreamGuard ours(&there);  // the stronger: it says more
    EXPECT_EQ(caller_stream()->stream, &there);
    EXPECT_TRUE(caller_stream()->may_return_early);
    {
      const CallerStreamGuard waits(&here, false);
      EXPECT_EQ(caller_stream()->stream, &here);
      EXPECT_FALSE(caller_stream()->may_return_early);
    }
    EXPECT_EQ(caller_stream()->stream, &there);
    EXPECT_TRUE(caller_stream()->may_return_early);
  }
  EXPECT_EQ(caller_stream()->stream, &here);

  set(nullptr, 1);  // CUDA's legacy default stream
  ASSERT_TRUE(caller_stream());
  EXPECT_EQ(caller_stream()->stream, nullptr);
  set(nullptr, 0);
  EXPECT_FALSE(caller_stream());
}

TEST(CallerStream, TheLastEventIsOfThisThread) {
  note_event(&here);
  EXPECT_EQ(last_event(), &here);
  std::thread([] { EXPECT_EQ(last_event(), nullptr); }).join();
  note_event(nullptr);
  EXPECT_EQ(last_event(), nullptr);
}

}  // namespace
}  // namespace torchtrt_ws
