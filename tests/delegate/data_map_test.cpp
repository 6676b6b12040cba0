// Data files of a program: engines in one, and the weights of engines that have none.

#include <gtest/gtest.h>

#include <map>

#include "digest/crc32c.h"
#include "digest/sha256.h"
#include "fake_engine.h"
#include "mapped_file.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;

/// What ExecuTorch makes of data files: names, and where their bytes are.
class DataMap final : public executorch::runtime::NamedDataMap {
 public:
  executorch::runtime::Result<const executorch::runtime::TensorLayout> get_tensor_layout(
      std::string_view) const override {
    return Error::NotFound;
  }
  executorch::runtime::Result<FreeableBuffer> get_data(std::string_view key) const override {
    const auto found = parts.find(std::string(key));
    if (found == parts.end()) return Error::NotFound;
    ++held;
    return FreeableBuffer(
        found->second.first, found->second.second, [](void* count, void*, size_t) { --*static_cast<int*>(count); },
        &held);
  }
  Error load_data_into(std::string_view, void*, size_t) const override { return Error::NotSupported; }
  executorch::runtime::Result<uint32_t> get_num_keys() const override { return static_cast<uint32_t>(parts.size()); }
  executorch::runtime::Result<const char*> get_key(uint32_t) const override { return Error::NotSupported; }

  std::map<std::string, std::pair<const void*, size_t>> parts;
  mutable int held = 0;  // buffers that were not given back
};

/// A blob as Torch-TensorRT 2.15 writes one for an engine outside of it.
std::vector<char> outside_blob(const std::string& key) {
  std::string json = blob_json("e");
  json.insert(1, R"("engine_key":")" + key + R"(",)");
  return pack_blob(json, "");
}

/// A blob of an engine without weights, which has one: `value`.
std::vector<char> stripped_blob(const std::string& value) {
  std::string json = blob_json("e");
  const std::string schema = R"("schema":1)";
  Crc32c crc;
  crc.update(value.data(), value.size());
  const std::string digest = sha256_hex(value.data(), value.size());
  const std::string size = std::to_string(value.size());
  json.replace(json.find(schema), schema.size(),
               R"("schema":2,"weights":{"file":"model.ptd","tensors":[{"name":"w","key":"weights/1","dtype":"uint8",)"
               R"("count":)" +
                   size + R"(,"bytes":)" + size + R"(,"crc32c":)" + std::to_string(crc.value()) + R"(,"sha256":")" +
                   digest + R"("}]})");
  return pack_blob(json, "fake engine", "TR03");
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
