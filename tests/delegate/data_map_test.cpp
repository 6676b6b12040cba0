// Data files of a program: engines in one, and the weights of engines that have none.

#include <gtest/gtest.h>

#include "data_files.h"
#include "fake_engine.h"
#include "mapped_file.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

/// A blob as Torch-TensorRT 2.15 writes one for an engine outside of it.
std::vector<char> outside_blob(const std::string& key) {
  std::string json = blob_json("e");
  json.insert(1, R"("engine_key":")" + key + R"(",)");
  return pack_blob(json, "");
}

/// A blob of an engine without weights, which has one: `value`.
std::vector<char> stripped_blob(const std::string& value) {
  return pack_blob(stripped_json("e", 2, value), "fake engine", "TR03");
}

class DataFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().data = &map_;
    device().free = 4000;
  }
  void TearDown() override { device().data = nullptr; }

  static void expect_refused(const Loaded& loaded, std::initializer_list<const char*> words) {
    EXPECT_EQ(loaded.error, Error::InvalidProgram);
    for (const char* each : words) {
      EXPECT_NE(last_error().message.find(each), std::string::npos) << each << " in: " << last_error().message;
    }
  }

  void put(const std::string& key, const std::string& bytes) { map_.parts[key] = {bytes.data(), bytes.size()}; }

  DataMap map_;
};

TEST_F(DataFiles, AnEngineInOneIsLoadedFromThere) {
  const std::string engine = "an engine elsewhere";
  put("engine_0", engine);
  {
    Loaded loaded(outside_blob("engine_0"));
    ASSERT_EQ(loaded.error, Error::Ok) << last_error().message;
    EXPECT_EQ(device().engine, engine);
    EXPECT_EQ(loaded.run(2, 1.0f), Error::Ok);
  }
  EXPECT_EQ(map_.held, 0);
}

TEST_F(DataFiles, WithoutTheFileAnEngineInOneIsNamed) {
  expect_refused(Loaded(outside_blob("engine_7")), {"'e'", "\"engine_7\"", ".ptd", "data="});
  device().data = nullptr;
  expect_refused(Loaded(outside_blob("engine_7")), {"'e'", "\"engine_7\"", ".ptd", "without data files"});
  put("engine_7", "");
  device().data = &map_;
  expect_refused(Loaded(outside_blob("engine_7")), {"no bytes under the key \"engine_7\""});
  expect_refused(Loaded(pack_blob(blob_json("e"), "")), {"engine size", "engine_key"});
  std::string number = blob_json("e");
  number.insert(1, R"("engine_key":7,)");
  expect_refused(Loaded(pack_blob(number, "")), {"engine_key"});
  Loaded whole(pack_blob(number));
  EXPECT_EQ(whole.error, Error::Ok) << "of an engine in the program the key says nothing";
}

TEST_F(DataFiles, TheWeightsOfAnEngineComeFromThere) {
  const std::string value = "sixteen bytes...", other = "sixteen bytes,,,";
  expect_refused(Loaded(stripped_blob(value)), {"weight \"w\" in \"model.ptd\"", "no such weight"});
  put("weights/1", other);
  expect_refused(Loaded(stripped_blob(value)), {"weight \"w\" in \"model.ptd\"", "CRC-32C"});
  put("weights/1", value);
  Loaded loaded(stripped_blob(value));
  EXPECT_EQ(loaded.error, Error::Ok) << last_error().message;
  EXPECT_EQ(map_.held, 0);
  device().data = nullptr;
  expect_refused(Loaded(stripped_blob(value)), {"\"model.ptd\"", "without data files"});
}

TEST_F(DataFiles, EnginesOfOnePlanShareOnlyOnTheSameWeights) {
  device().shares = true;
  const std::string value = "sixteen bytes...";
  MappedFile program(stripped_blob(value)), weights({value.begin(), value.end()}), copy({value.begin(), value.end()});
  const auto load = [&](const void* bytes) {
    map_.parts["weights/1"] = {bytes, value.size()};
    return std::make_unique<Loaded>(program.map());
  };
  const auto first_map = weights.map(), same_map = weights.map(), copy_map = copy.map();
  const auto first = load(first_map.data());
  device().engine.clear();
  const auto same = load(same_map.data());
  EXPECT_EQ(device().engine, "") << "the first one's weights";
  const auto other = load(copy_map.data());
  EXPECT_EQ(device().engine, "fake engine") << "of another file: opened";
  device().engine.clear();
  const auto unknown = load(value.data());
  EXPECT_EQ(device().engine, "fake engine") << "in memory, so not known to be the same: opened";
}

}  // namespace
}  // namespace torchtrt_ws::testing
