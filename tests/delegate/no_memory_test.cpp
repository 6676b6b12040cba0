// Host memory that runs out inside an engine: an error code and words, no terminate, also where not even the words can
// be had.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <stdexcept>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"

namespace {

thread_local bool refuse_memory = false;  // of this thread, from now on

}  // namespace

// For the whole program, the library under test included.
void* operator new(size_t size) {
  void* memory = refuse_memory ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

class NoMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    clear_last_error();
  }

  static void expect_words() {
    EXPECT_EQ(last_error().error, Error::MemoryAllocationFailed);
    EXPECT_EQ(last_error().found, "no host memory left");
    EXPECT_NE(last_error().message.find("Free host memory"), std::string::npos) << last_error().message;
  }
};

TEST_F(NoMemory, InARunIsAnErrorAndTheNextRunWorks) {
  Loaded loaded(make_blob("e"));
  device().on_run = [] { throw std::bad_alloc(); };
  EXPECT_EQ(loaded.run(1, 1.0f), Error::MemoryAllocationFailed);
  expect_words();
  device().on_run = nullptr;
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok);
}

TEST_F(NoMemory, AtLoadIsAnErrorAndLeavesNothing) {
  device().on_open = [] { throw std::bad_alloc(); };
  EXPECT_EQ(Loaded(make_blob("e")).error, Error::MemoryAllocationFailed);
  expect_words();
  EXPECT_TRUE(engines().empty());
}

// Not even the handler of the exception gets memory.
TEST_F(NoMemory, ForTheWordsEitherIsTheSameError) {
  Loaded loaded(make_blob("e"));
  device().on_run = [] {
    refuse_memory = true;
    throw std::bad_alloc();
  };
  const Error error = loaded.run(1, 1.0f);
  refuse_memory = false;
  EXPECT_EQ(error, Error::MemoryAllocationFailed);
  expect_words();
}

TEST_F(NoMemory, ForTheWordsOfAnotherExceptionIsAnErrorToo) {
  Loaded loaded(make_blob("e"));
  device().on_run = [] {
    const std::runtime_error error("more words than a string holds without memory of its own");
    refuse_memory = true;
    throw error;
  };
  const Error error = loaded.run(1, 1.0f);
  refuse_memory = false;
  EXPECT_EQ(error, Error::MemoryAllocationFailed);
}

TEST_F(NoMemory, AnotherExceptionIsTheEnginesFaultInItsWords) {
  Loaded loaded(make_blob("e"));
  device().on_run = [] { throw std::runtime_error("\x1b[31m\nforged"); };
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Internal);
  EXPECT_EQ(last_error().found, "an exception: \\x1b[31m\\nforged");
}

}  // namespace
}  // namespace torchtrt_ws::testing
