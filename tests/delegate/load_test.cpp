// Loading: who decides the budget, what happens when it does not fit, what is refused.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_scope.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;
using Calls = std::vector<std::string>;

class Load : public ::testing::Test {
 protected:
  void SetUp() override { reset_device(); }
  void TearDown() override { EXPECT_EQ(device().free, device_free_) << "memory was leaked on the device"; }
  void give_device(int64_t free) { device().free = device_free_ = free; }

  /// The same device with every size in MiB: the ladder's smallest rung is one (budget/ladder.h).
  void give_device_in_mib(int64_t free) {
    Device& all = device();
    for (int64_t* size : {&all.streamable, &all.scratch, &all.context, &all.automatic}) *size *= kMiB;
    give_device(free * kMiB);
  }

  static constexpr int64_t kMiB = 1 << 20;

  static EngineReport only_engine() {
    const auto all = engines();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? EngineReport{} : all[0];
  }

 private:
  int64_t device_free_ = Device{}.free;
};

TEST_F(Load, TheOptionForThisEngineBeatsTheGeneralOne) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("100")}, {"weight_streaming_budget.e", text("200")}},
                {{"weight_streaming_budget", "300"}});
  EXPECT_EQ(only_engine().budget_bytes, 200);
  EXPECT_EQ(only_engine().source, "load-time (engine)");
}

TEST_F(Load, TheGeneralOptionBeatsTheBakedValue) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("100")}}, {{"weight_streaming_budget", "300"}});
  EXPECT_EQ(only_engine().budget_bytes, 100);
  EXPECT_EQ(only_engine().source, "load-time");
}

TEST_F(Load, AnIntegerOptionIsANumberOfBytes) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 100}});
  EXPECT_EQ(only_engine().budget_bytes, 100);
}

TEST_F(Load, TheBakedValueBeatsAutomatic) {
  Loaded loaded(make_blob("e"), {}, {{"weight_streaming_budget", "300"}});
  EXPECT_EQ(only_engine().budget_bytes, 300);
  EXPECT_EQ(only_engine().source, "baked");
}

TEST_F(Load, AutomaticWhenNothingIsGiven) {
  device().automatic = 400;
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(only_engine().budget_bytes, 400);
  EXPECT_EQ(only_engine().source, "automatic");
}

TEST_F(Load, AnEmptyOptionFallsThroughToTheBakedValue) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("")}}, {{"weight_streaming_budget", "300"}});
  EXPECT_EQ(only_engine().budget_bytes, 300);
  EXPECT_EQ(only_engine().source, "baked");
}

TEST_F(Load, ReserveZeroAsksForAutomaticOverABakedValue) {
  device().automatic = 400;
  Loaded loaded(make_blob("e"), {{"weight_streaming_reserve", text("0")}}, {{"weight_streaming_budget", "300"}});
  EXPECT_EQ(only_engine().budget_bytes, 400);
}

TEST_F(Load, TheBudgetIsSetBeforeTheContextExists) {
  Loaded loaded(make_blob("e"), {}, {{"weight_streaming_budget", "300"}});
  EXPECT_EQ(device().calls, (Calls{"set 300", "make"}));
}

TEST_F(Load, NoBudgetCallWithoutStreamableWeights) {
  device().streamable = 0;
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("100")}});
  EXPECT_EQ(loaded.error, Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"make"}));
  EXPECT_EQ(only_engine().source, "none");
}

TEST_F(Load, MoreThanTheWeightsIsClipped) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("9223372036854775807")}});
  EXPECT_EQ(only_engine().budget_bytes, 800);
}

// 800 MiB do not fit in 600; 386 + scratch 100 + context 50 and the margin of 64 do. Its own choice is no better.
TEST_F(Load, AnAutomaticBudgetLeavesTheMargin) {
  give_device_in_mib(600);
  device().automatic = 100 * kMiB;
  Loaded loaded(make_blob("e"));
  ASSERT_EQ(loaded.error, Error::Ok);
  EXPECT_EQ(only_engine().budget_bytes, 386 * kMiB);
  EXPECT_EQ(only_engine().source, "automatic");
}

TEST_F(Load, TheEnginesOwnChoiceMayEatIntoTheMarginAndNoFurther) {
  give_device_in_mib(600);
  device().automatic = 400 * kMiB;
  EXPECT_EQ((Loaded(make_blob("e")), device().calls[0]), "set 419430400");
  device().automatic = 800 * kMiB;
  device().calls.clear();
  EXPECT_EQ((Loaded(make_blob("e")), device().calls[0]), "set " + std::to_string(450 * kMiB));
}

TEST_F(Load, AMarginThatIsGivenIsKept) {
  give_device_in_mib(600);
  for (const int64_t margin : {0, 10, 300}) {
    Loaded loaded(make_blob("e"), {{"weight_streaming_margin", text(std::to_string(margin * kMiB))}});
    EXPECT_EQ(only_engine().budget_bytes, (450 - margin) * kMiB);
  }
  Loaded reserve(make_blob("e"), {{"weight_streaming_reserve", text(std::to_string(20 * kMiB))}});
  EXPECT_EQ(only_engine().budget_bytes, 430 * kMiB) << "a reserve is what stays free: no margin beside it";
}

// The device says that more is free than can be had: the ladder goes down from what fits.
TEST_F(Load, AnAutomaticBudgetWhoseContextDoesNotFitGoesDownTheLadder) {
  give_device_in_mib(600);
  device().granule = 30 * kMiB;
  Loaded loaded(make_blob("e"));
  ASSERT_EQ(loaded.error, Error::Ok);
  EXPECT_EQ(device().calls,
            (Calls{"set " + std::to_string(450 * kMiB), "make", "set " + std::to_string(400 * kMiB), "make"}));
  EXPECT_EQ(only_engine().budget_bytes, 400 * kMiB);
}

TEST_F(Load, TheLadderEndsWithTheLeastMemoryThatWouldDo) {
  give_device(149);
  device().automatic = 40;
  clear_last_error();
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(loaded.error, Error::MemoryAllocationFailed);
  EXPECT_NE(last_error().next_step.find("150 bytes"), std::string::npos) << last_error().message;
  EXPECT_TRUE(engines().empty());
}

TEST_F(Load, AnExplicitBudgetThatDoesNotFitSaysWhatDoes) {
  give_device(600);
  clear_last_error();
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("500")}});
  EXPECT_EQ(loaded.error, Error::MemoryAllocationFailed);
  const LastError last = last_error();
  EXPECT_NE(last.found.find("500 bytes"), std::string::npos) << last.message;
  EXPECT_NE(last.found.find("600 bytes free"), std::string::npos) << last.message;
  EXPECT_NE(last.next_step.find("450 bytes"), std::string::npos) << last.message;
  EXPECT_EQ(device().calls, (Calls{"set 500", "make", "close"}));
}

TEST_F(Load, WhenAllTheWeightsDoNotFitTheLargestBudgetCountsScratch) {
  give_device(600);
  clear_last_error();
  Loaded loaded(make_blob("e"), {{"weight_streaming_percent", text("100")}});
  EXPECT_EQ(loaded.error, Error::MemoryAllocationFailed);
  EXPECT_NE(last_error().next_step.find("450 bytes"), std::string::npos) << last_error().message;
}

TEST_F(Load, ATotalIsSplitByTheSharesInTheBlobs) {
  Loaded loaded(make_blob("e", 2, "1600", "400"), {{"weight_streaming_total_budget", text("1000")}});
  EXPECT_EQ(only_engine().budget_bytes, 250);
}

TEST_F(Load, ATotalWithoutSharesIsRefused) {
  Loaded loaded(make_blob("e", 2), {{"weight_streaming_total_budget", text("1000")}});
  EXPECT_EQ(loaded.error, Error::InvalidProgram);
}

TEST_F(Load, HugePagesUnlessTheyAreNotWanted) {
  {
    Loaded loaded(make_blob("e"));
    EXPECT_TRUE(device().huge_pages);
  }
  Loaded loaded(make_blob("e"), {{"huge_pages", false}});
  EXPECT_FALSE(device().huge_pages);
}

// Methods may be unloaded and loaded again.
TEST_F(Load, NamesOfEnginesThatHaveNoneAreNotGivenTwice) {
  register_engine_kind("tensorrt", &open_fake);  // what a file without our metadata is taken for
  const std::string json = R"({"io_bindings":[{"name":"x","dtype":"float32","shape":[4,2],"is_input":true},)"
                           R"({"name":"y","dtype":"float32","shape":[4,2],"is_input":false}]})";
  executorch::runtime::MemoryAllocator program{0, nullptr};
  const auto load = [&](const char* engine) {
    return std::make_unique<Loaded>(pack_blob(json, engine), Loaded::Options{}, Loaded::Specs{}, &program);
  };
  auto first = load("one"), second = load("two");
  ASSERT_EQ(second->error, Error::Ok) << last_error().message;
  first.reset();
  first = load("one");
  auto third = load("three");
  std::set<std::string> names;
  for (const EngineReport& report : engines()) names.insert(report.name);
  EXPECT_EQ(names, (std::set<std::string>{"engine0", "engine1", "engine2"}));
}

TEST_F(Load, TheFoldersOfTheCaches) {
  {
    Loaded loaded(make_blob("e"));
    EXPECT_EQ(device().runtime_cache, "") << "the default one";
    EXPECT_EQ(device().refit_cache, "off");
  }
  for (const char* said : {"/some/folder", "off"}) {
    Loaded loaded(make_blob("e"), {{"runtime_cache", text(said)}, {"refit_cache", text("/plans")}});
    EXPECT_EQ(loaded.error, Error::Ok);
    EXPECT_EQ(device().runtime_cache, said);
    EXPECT_EQ(device().refit_cache, "/plans");
  }
  for (const char* key : {"runtime_cache", "refit_cache"}) {
    for (const executorch::runtime::OptionValue& wrong :
         {executorch::runtime::OptionValue(text("")), executorch::runtime::OptionValue(true),
          executorch::runtime::OptionValue(1)}) {
      Loaded loaded(make_blob("e"), {{key, wrong}});
      EXPECT_EQ(loaded.error, Error::InvalidProgram);
    }
  }
}

TEST_F(Load, PercentOfTheStreamableWeights) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_percent", text("50")}});
  EXPECT_EQ(only_engine().budget_bytes, 400);
}

// 90 % is 720: with scratch 100 that is more than the 800 of full residency.
TEST_F(Load, ADerivedBudgetInTheHoleBecomesFullResidency) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_percent", text("90")}});
  EXPECT_EQ(only_engine().budget_bytes, 800);
}

struct Malformed {
  const char* why;
  Loaded::Options options;
  Loaded::Specs specs;
};

class Refused : public Load, public ::testing::WithParamInterface<Malformed> {};

TEST_P(Refused, WithTheKeyInTheMessage) {
  clear_last_error();
  Loaded loaded(make_blob("e"), GetParam().options, GetParam().specs);
  EXPECT_EQ(loaded.error, Error::InvalidProgram);
  EXPECT_NE(last_error().message.find("weight_streaming"), std::string::npos) << last_error().message;
  EXPECT_TRUE(device().calls.empty()) << "an engine was made for options that are refused";
}

INSTANTIATE_TEST_SUITE_P(
    Options, Refused,
    ::testing::Values(Malformed{"suffix", {{"weight_streaming_budget", text("1GiB")}}, {}},
                      Malformed{"negative", {{"weight_streaming_budget", -1}}, {}},
                      Malformed{"minus", {{"weight_streaming_budget", text("-0")}}, {}},
                      Malformed{"bool", {{"weight_streaming_budget", true}}, {}},
                      Malformed{"overflow", {{"weight_streaming_budget", text("9223372036854775808")}}, {}},
                      Malformed{"over_100", {{"weight_streaming_percent", text("101")}}, {}},
                      Malformed{"two_forms", {{"weight_streaming_budget", 1}, {"weight_streaming_percent", 1}}, {}},
                      Malformed{"of_this_engine", {{"weight_streaming_budget.e", text(" 1")}}, {}},
                      Malformed{"baked_empty", {}, {{"weight_streaming_budget", ""}}},
                      Malformed{"baked_nul", {}, {{"weight_streaming_budget", std::string("1\0", 2)}}},
                      Malformed{
                          "baked_twice", {}, {{"weight_streaming_budget", "1"}, {"weight_streaming_budget", "1"}}},
                      Malformed{"baked_beaten", {{"weight_streaming_budget", 1}}, {{"weight_streaming_budget", "x"}}}),
    [](const auto& row) { return row.param.why; });

/// The blob as in a Torch-TensorRT file: no key of ours that is known, so that name and kind are not recorded.
std::vector<char> without_our_key(std::vector<char> blob) {
  const std::string key = "\"torchtrt_ws\"";
  const auto at = std::search(blob.begin(), blob.end(), key.begin(), key.end());
  EXPECT_NE(at, blob.end());
  if (at != blob.end()) *(at + 1) = 'X';
  return blob;
}

TEST_F(Load, WithoutOurMetadataTheKindIsGuessed) {
  clear_last_error();
  Loaded loaded(without_our_key(make_blob("e")));
  EXPECT_EQ(loaded.error, Error::NotSupported);  // there is no adapter for TensorRT here
  EXPECT_NE(last_error().message.find("TORCHTRT_WS_TENSORRT_LIBRARY"), std::string::npos) << last_error().message;
}

TEST_F(Load, EnginesWithoutANameAreCounted) {
  // Guessed to be host engines, whose kind is free in this process.
  static const bool registered = register_engine_kind("host", &open_fake);
  ASSERT_TRUE(registered);
  auto blob = without_our_key(make_blob("e"));
  const std::string engine = "fake engine", identifier = "ET12";
  const auto payload = std::search(blob.begin(), blob.end(), engine.begin(), engine.end());
  ASSERT_NE(payload, blob.end());
  std::copy(identifier.begin(), identifier.end(), payload + 4);

  executorch::runtime::MemoryAllocator one(0, nullptr), other(0, nullptr);
  const Loaded::Options options = {{"weight_streaming_budget", text("100")},
                                   {"weight_streaming_budget.engine1", text("200")}};
  Loaded first(blob, options, {}, &one), second(blob, options, {}, &one), elsewhere(blob, options, {}, &other);
  std::vector<std::string> said;
  for (const EngineReport& each : engines()) {
    said.push_back(each.name + " " + each.kind + " " + std::to_string(each.budget_bytes) + " " + each.source);
  }
  EXPECT_EQ(said, (std::vector<std::string>{"engine0 host 100 load-time", "engine1 host 200 load-time (engine)",
                                            "engine0 host 100 load-time"}));
}

TEST_F(Load, AKindFromTheFileChoosesNoPath) {
  auto blob = make_blob("e");
  const std::string kind = "\"fake\"", evil = "\"../x\"";
  auto at = std::search(blob.begin(), blob.end(), kind.begin(), kind.end());
  std::copy(evil.begin(), evil.end(), at);
  EXPECT_EQ(Loaded(std::move(blob)).error, Error::NotSupported);
}

constexpr char kForged[] = "\x1b[31m\nforged";  // as JSON: \u001b[31m\nforged

TEST_F(Load, AKindFromTheFileForgesNoLine) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Loaded(make_blob("e", 1, "null", "null", R"(\u001b[31m\nforged)")).error, Error::NotSupported);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(last_error().message.find_first_of("\x1b\n"), std::string::npos) << last_error().message;
  EXPECT_NE(said.find("\\x1b[31m\\nforged"), std::string::npos) << said;
  EXPECT_EQ(said.find(kForged), std::string::npos) << said;
}

TEST_F(Load, ATensorNameFromTheFileForgesNoLine) {
  device().input_name = kForged;
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(loaded.run(5, 1.0f), Error::InvalidArgument);
  EXPECT_EQ(last_error().subject, "input '\\x1b[31m\\nforged'");
}

TEST_F(Load, ATruncatedBlobIsRefused) {
  auto blob = make_blob("e");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{31}, size_t{32}, blob.size() - 1}) {
    EXPECT_EQ(Loaded(std::vector<char>(blob.begin(), blob.begin() + static_cast<ptrdiff_t>(size))).error,
              Error::InvalidProgram)
        << size << " bytes";
  }
}

TEST_F(Load, DestroyingGivesTheEngineAndItsPayloadBack) {
  {
    Loaded loaded(make_blob("e"));
  }
  EXPECT_TRUE(engines().empty());
  EXPECT_EQ(device().calls.back(), "close");
  EXPECT_FALSE(device().payload_held);
}

// A program of two engines: said once, when the second is loaded and both names are known.
TEST_F(Load, AnOptionForNoEngineOfTheProgramIsWarnedAbout) {
  give_device(10000);
  executorch::runtime::MemoryAllocator program(0, nullptr);
  const Loaded::Options options = {{"weight_streaming_budget.nope", text("100")},
                                   {"weight_streaming_budget.b", text("100")}};
  const std::string warning = "warning: weight_streaming_budget.nope has no effect: the program's engines are a,b.";
  ::testing::internal::CaptureStderr();
  Loaded a(make_blob("a", 2), options, {}, &program);
  EXPECT_EQ(::testing::internal::GetCapturedStderr().find("nope"), std::string::npos) << "it may be the second engine";
  ::testing::internal::CaptureStderr();
  Loaded b(make_blob("b", 2), options, {}, &program);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find(warning), std::string::npos) << said;
  EXPECT_EQ(said.find(warning, said.find(warning) + 1), std::string::npos) << said;
  EXPECT_EQ(said.find("budget.b has"), std::string::npos) << said;
}

TEST_F(Load, AScopeSeesTheEnginesOfItsThread) {
  LoadScope outer;
  {
    LoadScope inner;
    Loaded loaded(make_blob("e"));
    ASSERT_EQ(inner.ids().size(), 1u);
    EXPECT_EQ(engine(inner.ids()[0]).name, "e");
  }
  EXPECT_TRUE(outer.ids().empty());
}

}  // namespace
}  // namespace torchtrt_ws::testing
