// Adapters: one that was built with other headers is refused, and never called.

#include "engine/engine_kind.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "fake_engine.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

/// A blob for an engine of kind "next".
std::vector<char> make_next_blob() {
  auto blob = make_blob("e");
  const std::string fake = "\"fake\"", next = "\"next\"";
  auto at = std::search(blob.begin(), blob.end(), fake.begin(), fake.end());
  std::copy(next.begin(), next.end(), at);
  return blob;
}

TEST(EngineKind, AnAdapterOfAnotherAbiIsRefused) {
  reset_device();
  const OpenEngine foreign = [](Payload, const OpenRequest&) -> Result<std::unique_ptr<Engine>> { std::abort(); };
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(register_engine_kind("next", foreign, kEngineAbi + 1));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("found an adapter of ABI " + std::to_string(kEngineAbi + 1)), std::string::npos) << said;

  clear_last_error();
  EXPECT_EQ(Loaded(make_next_blob()).error, Error::NotSupported);
  EXPECT_EQ(last_error().found, "an adapter of ABI " + std::to_string(kEngineAbi + 1)) << last_error().message;
  EXPECT_NE(last_error().next_step.find("from one version"), std::string::npos) << last_error().message;

  EXPECT_TRUE(register_engine_kind("next", &open_fake)) << "one that fits is taken all the same";
  EXPECT_FALSE(register_engine_kind("next", &open_fake)) << "once";
  EXPECT_EQ(Loaded(make_next_blob()).error, Error::Ok);
}

}  // namespace
}  // namespace torchtrt_ws::testing
