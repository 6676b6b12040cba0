// Who decides whether runs are replayed as CUDA graphs: the load, the process, the program.
#include <gtest/gtest.h>

#include "fake_engine.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

class GraphUseTest : public ::testing::Test {
 protected:
  void SetUp() override { reset_device(); }
  void TearDown() override { EXPECT_EQ(set_defaults({}), Error::Ok); }

  static GraphUse loaded_with(const Loaded::Options& options, const Loaded::Specs& specs = {}) {
    device().graphs = static_cast<GraphUse>(-1);
    const Loaded loaded(make_blob("e"), options, specs);
    EXPECT_EQ(loaded.error, Error::Ok) << last_error().message;
    return device().graphs;
  }
};

TEST_F(GraphUseTest, OffUnlessSomebodyAsks) {
  EXPECT_EQ(loaded_with({}), GraphUse::Off);
  EXPECT_EQ(loaded_with({{"cuda_graph", true}}), GraphUse::On);
  EXPECT_EQ(loaded_with({{"cuda_graph", false}}), GraphUse::Off);
  EXPECT_EQ(loaded_with({{"cuda_graph", text("on")}}), GraphUse::On);
  EXPECT_EQ(loaded_with({{"cuda_graph", text("off")}}), GraphUse::Off);
  EXPECT_EQ(loaded_with({{"cuda_graph", text("auto")}}), GraphUse::Auto);
}

TEST_F(GraphUseTest, TorchTensorRtsKeyMeansTheSame) {
  EXPECT_EQ(loaded_with({{"use_cuda_graphs", true}}), GraphUse::On);
  EXPECT_EQ(loaded_with({{"use_cuda_graphs", false}}), GraphUse::Off);
  EXPECT_EQ(loaded_with({{"use_cuda_graphs", true}, {"cuda_graph", text("on")}}), GraphUse::On);
}

TEST_F(GraphUseTest, WhatIsBakedIsRead) {
  for (const std::string& yes : {std::string("1"), std::string("true"), std::string("True"), std::string(1, 1)}) {
    EXPECT_EQ(loaded_with({}, {{"use_cuda_graphs", yes}}), GraphUse::On) << yes;
  }
  for (const std::string& no : {std::string("0"), std::string("false"), std::string("False"), std::string(1, 0)}) {
    EXPECT_EQ(loaded_with({}, {{"use_cuda_graphs", no}}), GraphUse::Off) << no;
  }
  EXPECT_EQ(loaded_with({}, {{"use_cuda_graphs", "perhaps"}}), GraphUse::Off) << "with a warning";
}

TEST_F(GraphUseTest, TheLoadBeatsTheProcessWhichBeatsTheProgram) {
  const Loaded::Specs baked = {{"use_cuda_graphs", "true"}};
  EXPECT_EQ(loaded_with({{"use_cuda_graphs", false}}, baked), GraphUse::Off) << "refuses what is baked";
  EXPECT_EQ(loaded_with({{"cuda_graph", text("auto")}}, baked), GraphUse::Auto);
  LoadOptions options;
  options.set_cuda_graph("off");
  const auto view = options.view();
  ASSERT_EQ(set_defaults({view.data(), view.size()}), Error::Ok);
  EXPECT_EQ(loaded_with({}, baked), GraphUse::Off);
  EXPECT_EQ(loaded_with({{"use_cuda_graphs", true}}, baked), GraphUse::On);
}

TEST_F(GraphUseTest, WhatCannotBeReadIsRefused) {
  const std::pair<Loaded::Options, const char*> cases[] = {
      {{{"cuda_graph", text("maybe")}}, "\"maybe\""},
      {{{"cuda_graph", 1}}, "not a bool"},
      {{{"use_cuda_graphs", text("on")}}, "\"on\""},
      {{{"cuda_graph", true}, {"use_cuda_graphs", false}}, "another value"},
  };
  for (const auto& [options, found] : cases) {
    clear_last_error();
    EXPECT_EQ(Loaded(make_blob("e"), options).error, Error::InvalidProgram) << found;
    EXPECT_NE(last_error().found.find(found), std::string::npos) << last_error().message;
  }
}

TEST_F(GraphUseTest, WhoIsRefusedIsToldWhatHoldsWithoutTheOption) {
  clear_last_error();
  EXPECT_EQ(Loaded(make_blob("e"), {{"cuda_graph", text("maybe")}}).error, Error::InvalidProgram);
  EXPECT_NE(last_error().message.find("what the file says, else off"), std::string::npos) << last_error().message;
  EXPECT_EQ(loaded_with({}), GraphUse::Off);
}

TEST_F(GraphUseTest, TheMarginGoesAlong) {
  const Loaded plain(make_blob("e"));
  EXPECT_EQ(device().margin, kDefaultMargin);
  const Loaded asked(make_blob("f"), {{"weight_streaming_margin", 7}});
  EXPECT_EQ(device().margin, 7);
}

}  // namespace
}  // namespace torchtrt_ws::testing
