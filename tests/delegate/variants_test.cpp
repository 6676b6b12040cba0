// One engine, several plans: which one is opened, what happens when it is refused, and how that is told.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "data_files.h"
#include "fake_engine.h"
#include "mapped_file.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

constexpr const char* kValue = "sixteen bytes...";

struct Plan {
  std::string bytes;
  std::string capability;  // empty: any
  std::string more = "";   // members of its JSON, each with a comma before it
  bool damaged = false;    // its bytes are not those that are recorded
};

std::string variant_json(const Plan& plan, size_t offset) {
  Crc32c crc;
  crc.update(plan.bytes.data(), plan.bytes.size());
  char checksum[9];
  std::snprintf(checksum, sizeof(checksum), "%08x", crc.value() ^ (plan.damaged ? 1 : 0));
  std::string json = R"({"offset":)" + std::to_string(offset) + R"(,"size":)" + std::to_string(plan.bytes.size()) +
                     R"(,"sha256":")" + sha256_hex(plan.bytes.data(), plan.bytes.size()) + R"(","crc32c":")" +
                     checksum + R"(","runtime":"fake 1.0")" + plan.more;
  if (!plan.capability.empty()) json += R"(,"compute_capabilities":[{"name":")" + plan.capability + R"("}])";
  return json + "}";
}

std::vector<char> blob_of(const std::vector<Plan>& plans) {
  std::string engine;
  std::string list;
  for (const Plan& plan : plans) {
    engine.resize((engine.size() + 15) / 16 * 16);
    list += (list.empty() ? "" : ",") + variant_json(plan, engine.size());
    engine += plan.bytes;
  }
  return pack_blob(stripped_json("e", 3, kValue, R"(,"variants":[)" + list + "]"), engine, "TR03");
}

class Variants : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().data = &map_;
    device().free = 4000;
    map_.parts["weights/1"] = {kValue, 16};
  }
  void TearDown() override { device().data = nullptr; }

  static void expect_refused(const Loaded& loaded, Error error, std::initializer_list<const char*> words) {
    EXPECT_EQ(loaded.error, error);
    for (const char* each : words) {
      EXPECT_NE(last_error().message.find(each), std::string::npos) << each << " in: " << last_error().message;
    }
    EXPECT_TRUE(engines().empty());
  }

  DataMap map_;
};

TEST_F(Variants, TheOneForThisDeviceIsOpenedWhereverItStands) {
  const std::vector<Plan> plans = {{"for an L4", "8.9"}, {"for an H200, a longer one", "9.0"}, {"for all", ""}};
  {
    Loaded loaded(blob_of(plans));
    ASSERT_EQ(loaded.error, Error::Ok) << last_error().message;
    EXPECT_EQ(device().engine, plans[1].bytes);
    EXPECT_EQ(engines().at(0).variant, "2 of 3 (compute capability 9.0, fake 1.0)");
    EXPECT_EQ(loaded.run(2, 1.0f), Error::Ok);
  }
  device().here = {"8.9", "fake 1.0"};
  Loaded ada(blob_of(plans));
  EXPECT_EQ(device().engine, plans[0].bytes);
  device().here = {"12.0", "fake 1.0"};
  Loaded blackwell(blob_of(plans));
  EXPECT_EQ(device().engine, plans[2].bytes);
  EXPECT_EQ(engines().at(1).variant, "3 of 3 (any GPU, fake 1.0)");
}

TEST_F(Variants, AnEngineOfOnePlanHasNone) {
  Loaded loaded(make_blob("e"));
  ASSERT_EQ(loaded.error, Error::Ok);
  EXPECT_EQ(engines().at(0).variant, "");
}

TEST_F(Variants, OneThatDoesNotRunHereIsPassedOver) {
  const std::vector<Plan> plans = {{"first", ""}, {"second", ""}, {"third", ""}};
  device().refuses = {{"first", ErrorCode::Incompatible}};
  {
    Loaded loaded(blob_of(plans));
    ASSERT_EQ(loaded.error, Error::Ok) << last_error().message;
    EXPECT_EQ(device().engine, "second");
    EXPECT_EQ(engines().at(0).variant, "2 of 3 (any GPU, fake 1.0)");
  }
  EXPECT_EQ(map_.held, 0) << "nor are the weights of the first held";
}

TEST_F(Variants, AnyOtherFailureIsTheEngines) {
  const std::vector<std::pair<ErrorCode, Error>> failures = {{ErrorCode::BadEngine, Error::InvalidProgram},
                                                             {ErrorCode::DoesNotFit, Error::MemoryAllocationFailed},
                                                             {ErrorCode::NotSupported, Error::NotSupported},
                                                             {ErrorCode::EngineFault, Error::Internal}};
  for (const auto& [code, error] : failures) {
    device().refuses = {{"first", code}};
    device().engine.clear();
    expect_refused(Loaded(blob_of({{"first", ""}, {"second", ""}})), error, {"'e'", "a plan that is refused"});
    EXPECT_EQ(device().engine, "first") << "the second one was never tried";
  }
}

TEST_F(Variants, DamageIsNoReasonToTakeTheNext) {
  device().refuses = {{"first", ErrorCode::Incompatible}};
  const Plan damaged{"first", "", "", true};
  expect_refused(Loaded(blob_of({damaged, {"second", ""}})), Error::InvalidProgram, {"'e'", "CRC-32C", "damaged"});
  EXPECT_EQ(device().engine, "first");
  Loaded unverified(blob_of({damaged, {"second", ""}}), {{"verify", text("off")}});
  EXPECT_EQ(unverified.error, Error::Ok) << "who asks for no comparison gets none";
}

TEST_F(Variants, WhereNoneRunsTheErrorSaysWhyOfEach) {
  device().refuses = {{"first", ErrorCode::Incompatible}};
  expect_refused(Loaded(blob_of({{"first", ""}, {"second", "8.9"}})), Error::DelegateInvalidCompatibility,
                 {"2 plans, of which none runs here", "1 of 2 (any GPU, fake 1.0): a plan that is refused",
                  "2 of 2 (compute capability 8.9, fake 1.0): it was built for other GPUs",
                  "compute capability 9.0 and fake 1.0", "torchtrt-ws combine"});
  device().engine.clear();
  expect_refused(Loaded(blob_of({{"first", "7.5"}, {"second", "8.9"}})), Error::DelegateInvalidCompatibility,
                 {"built for other GPUs"});
  EXPECT_EQ(device().engine, "") << "neither was tried";
}

TEST_F(Variants, OneThatRunsOnOthersIsTried) {
  Loaded loaded(blob_of({{"first", "8.9"}, {"second", "8.6", R"(,"hardware_compatible":true)"}}));
  ASSERT_EQ(loaded.error, Error::Ok) << last_error().message;
  EXPECT_EQ(device().engine, "second");
}

TEST_F(Variants, WeightsAreThoseOfTheChosenOne) {
  map_.parts.clear();
  expect_refused(Loaded(blob_of({{"first", "9.0", R"(,"weights":[{"name":"w"}])"}, {"second", "8.9"}})),
                 Error::InvalidProgram, {"weight \"w\" in \"model.ptd\"", "no such weight"});
}

TEST_F(Variants, EqualOnesShareAndOthersDoNot) {
  device().shares = true;
  const std::vector<Plan> plans = {{"for an L4", "8.9"}, {"for an H200", "9.0"}};
  MappedFile program(blob_of(plans)), weights(std::vector<char>(kValue, kValue + 16));
  const auto mapped = weights.map();
  map_.parts["weights/1"] = {mapped.data(), 16};
  const Loaded first(program.map());
  device().engine.clear();
  const Loaded second(program.map());
  ASSERT_EQ(engines().size(), 2U) << last_error().message;
  EXPECT_EQ(device().engine, "") << "on the first one's weights";
  EXPECT_EQ(engines().at(1).variant, engines().at(0).variant);
  EXPECT_EQ(engines().at(1).shared_with.size(), 1U);
  device().here = {"8.9", "fake 1.0"};
  const Loaded other(program.map());
  EXPECT_EQ(device().engine, plans[0].bytes);
  EXPECT_TRUE(engines().at(2).shared_with.empty());
}

TEST_F(Variants, OtherKindsHaveNone) {
  static const bool registered = register_engine_kind("bare", &open_fake);
  ASSERT_TRUE(registered);
  std::vector<char> blob = blob_of({{"first", ""}, {"second", ""}});
  const std::string from = R"("kind":"fake")", to = R"("kind":"bare")";
  const auto at = std::search(blob.begin(), blob.end(), from.begin(), from.end());
  ASSERT_NE(at, blob.end());
  std::copy(to.begin(), to.end(), at);
  expect_refused(Loaded(blob), Error::NotSupported, {"2 plans for an engine of kind \"bare\""});
}

}  // namespace
}  // namespace torchtrt_ws::testing
