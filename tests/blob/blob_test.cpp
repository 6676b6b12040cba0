#include "blob/blob.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "blob/as_variant.h"
#include "blob/bytes.h"
#include "core/files.h"

namespace torchtrt_ws {
namespace {

using testing::make_blob;
using Json = nlohmann::json;

constexpr const char* kAliased = R"({"io_bindings":[{"name":"x"},{"name":"y","is_input":false}],)"
                                 R"("aliased_io":[{"output":"y","input":"x","kind":"user"}]})";

/// The metadata as the manifest spells it: Python's dataclasses as JSON.
Json to_json(const TensorFacts& tensor) {
  return {{"name", tensor.name},
          {"dtype", tensor.dtype},
          {"shape", tensor.shape},
          {"min", tensor.min},
          {"max", tensor.max}};
}

Json to_json(const std::vector<TensorFacts>& tensors) {
  Json list = Json::array();
  for (const auto& tensor : tensors) list.push_back(to_json(tensor));
  return list;
}

Json profiles_to_json(const OwnFacts& own) {
  Json list = Json::array();
  for (const auto& profile : own.profiles) {
    Json inputs = Json::array();
    for (std::size_t i = 0; i < profile.size(); ++i) {
      const auto& [min, opt, max] = profile[i];
      inputs.push_back({{"name", own.inputs[i].name}, {"min", min}, {"opt", opt}, {"max", max}});
    }
    list.push_back(inputs);
  }
  return list;
}

Json to_json(const std::optional<int64_t>& bytes) { return bytes.has_value() ? Json(*bytes) : Json(nullptr); }

std::string hex(uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof(text), "%08x", value);
  return text;
}

Json to_json(const std::vector<StateTensor>& state) {
  Json list = Json::array();
  for (const StateTensor& each : state) {
    list.push_back({{"input", each.input}, {"output", each.output}, {"dtype", each.dtype}, {"shape", each.shape}});
  }
  return list;
}

Json to_json(const std::optional<SeparateWeights>& weights) {
  if (!weights) return nullptr;
  Json tensors = Json::array();
  for (const WeightFacts& each : weights->tensors) {
    tensors.push_back({{"name", each.name},
                       {"key", each.key},
                       {"dtype", each.dtype},
                       {"count", each.count},
                       {"bytes", each.bytes},
                       {"crc32c", each.crc32c},
                       {"sha256", each.sha256},
                       {"shape", each.shape ? Json(*each.shape) : Json(nullptr)}});
  }
  return {{"file", weights->file}, {"tensors", tensors}};
}

Json to_json(const std::vector<VariantFacts>& variants) {
  Json list = Json::array();
  for (const VariantFacts& each : variants) {
    list.push_back({{"offset", each.offset},
                    {"size", each.size},
                    {"sha256", each.sha256},
                    {"crc32c", hex(each.crc32c)},
                    {"builder", each.builder},
                    {"runtime", each.runtime},
                    {"compute_capabilities", each.compute_capabilities},
                    {"hardware_compatible", each.hardware_compatible},
                    {"streamable_bytes", to_json(each.streamable_bytes)},
                    {"streamable_estimated", each.streamable_estimated},
                    {"weights", each.weights ? Json(*each.weights) : Json(nullptr)}});
  }
  return list;
}

Json to_json(const OwnFacts& own) {
  return {{"schema", own.schema},
          {"name", own.name},
          {"kind", own.kind},
          {"sha256", own.sha256},
          {"crc32c", own.crc32c.has_value() ? Json(hex(*own.crc32c)) : Json(nullptr)},
          {"builder", own.builder},
          {"streamable_bytes", to_json(own.streamable_bytes)},
          {"streamable_estimated", own.streamable_estimated},
          {"program_engines", own.program_engines},
          {"program_streamable_bytes", to_json(own.program_streamable_bytes)},
          {"program_distinct_bytes", to_json(own.program_distinct_bytes)},
          {"keeps_state", own.keeps_state},
          {"state", to_json(own.state)},
          {"nested_method", own.nested_method == "forward" ? Json(nullptr) : Json(own.nested_method)},
          {"inputs", to_json(own.inputs)},
          {"outputs", to_json(own.outputs)},
          {"method_inputs", own.method_inputs},
          {"method_outputs", own.method_outputs},
          {"weights", to_json(own.weights)},
          {"compute_capabilities", own.compute_capabilities},
          {"variants", to_json(own.variants)},
          {"optimization_profiles", profiles_to_json(own)}};
}

Json to_json(const Metadata& metadata) {
  Json json = {{"io_bindings", Json::array()},
               {"aliased_io", Json::array()},
               {"hardware_compatible", metadata.hardware_compatible},
               {"device_id", metadata.device_id},
               {"target_platform", metadata.target_platform},
               {"own", metadata.own.has_value() ? to_json(*metadata.own) : Json(nullptr)}};
  for (const auto& b : metadata.io_bindings) {
    json["io_bindings"].push_back({{"name", b.name}, {"dtype", b.dtype}, {"shape", b.shape}, {"is_input", b.is_input}});
  }
  for (const auto& a : metadata.aliased_io) {
    json["aliased_io"].push_back({{"output", a.output}, {"input", a.input}, {"kind", a.kind}});
  }
  return json;
}

TEST(ReadBlob, GoldenFiles) {
  std::size_t files = 0;
  for (const auto& row : testing::read_table("blob/golden/manifest.json")) {
    SCOPED_TRACE(row.at("file").get<std::string>() + ": " + row.at("why").get<std::string>());
    const std::string bytes = testing::read_file("blob/golden/" + row.at("file").get<std::string>());
    const auto result = read_blob(bytes.data(), bytes.size());
    ASSERT_TRUE(result.ok()) << result.failure().message();
    const Blob& blob = result.value();
    const Json& want = row.at("want");
    EXPECT_EQ(blob.header.aliased, want.at("aliased").get<bool>());
    EXPECT_EQ(blob.header.stripped, want.at("stripped").get<bool>());
    EXPECT_EQ(blob.header.metadata_offset, want.at("metadata_offset").get<uint32_t>());
    EXPECT_EQ(blob.header.metadata_size, want.at("metadata_size").get<uint32_t>());
    EXPECT_EQ(blob.header.engine_offset, want.at("engine_offset").get<uint32_t>());
    EXPECT_EQ(blob.header.engine_size, want.at("engine_size").get<uint64_t>());
    EXPECT_EQ(blob.engine_size, blob.header.engine_size);
    EXPECT_EQ(reinterpret_cast<const char*>(blob.engine), bytes.data() + blob.header.engine_offset);
    Json metadata = want.at("metadata");
    metadata.erase("serialized_metadata");  // kept by Python, which writes it again; of no use here
    EXPECT_EQ(to_json(blob.metadata), metadata);
    ++files;
  }
  EXPECT_GE(files, 5U);
}

TEST(ReadBlob, HostileFiles) {
  std::size_t files = 0;
  std::set<std::string> messages;
  for (const auto& row : testing::read_table("blob/hostile/manifest.json")) {
    const auto file = row.at("file").get<std::string>();
    SCOPED_TRACE(file + ": " + row.at("why").get<std::string>());
    const std::string text = testing::read_file("blob/hostile/" + file);
    const std::vector<char> bytes(text.begin(), text.end());  // no NUL behind its end, so that ASan sees a read past it
    const auto result = read_blob(bytes.data(), bytes.size());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(error_code_name(result.failure().code), row.at("code").get<std::string>());
    const std::string message = result.failure().message();
    EXPECT_EQ(message.rfind("engine blob: ", 0), 0U) << message;
    EXPECT_LT(message.size(), 400U) << message;
    for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
    EXPECT_FALSE(result.failure().next_step.empty());
    messages.insert(message);
    ++files;
  }
  EXPECT_GE(files, 50U);
  EXPECT_GE(messages.size(), files * 3 / 4) << "most files are refused for a reason of their own";
}

TEST(ReadBlob, EveryTruncationOfAGoldenFileIsRefused) {
  const std::string text = testing::read_file("blob/golden/minimal.bin");
  for (std::size_t size = 0; size < text.size(); ++size) {
    const std::vector<char> bytes(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(read_blob(bytes.data(), bytes.size()).ok()) << size;
  }
}

TEST(ReadBlob, AliasesNeedTR02) {
  const std::string right = make_blob(kAliased, "engine", true);
  EXPECT_EQ(read_blob(right.data(), right.size()).value().metadata.aliased_io.size(), 1U);
  const std::string wrong = make_blob(kAliased, "engine", false);
  const auto result = read_blob(wrong.data(), wrong.size());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().expected, "\"TR02\", since the metadata has aliased_io");
}

TEST(ReadBlob, TR02WithoutAliasesIsAccepted) {
  const std::string bytes = make_blob(R"({"io_bindings":[]})", "engine", true);
  EXPECT_TRUE(read_blob(bytes.data(), bytes.size()).ok());
}

TEST(ReadBlob, AVariantIsAnEngineOfItsOwn) {
  const std::string bytes = testing::read_file("blob/golden/variants.bin");
  const Metadata metadata = read_blob(bytes.data(), bytes.size()).value().metadata;
  const std::vector<VariantFacts>& variants = metadata.own->variants;
  const Metadata first = as_variant(metadata, 0), second = as_variant(metadata, 1);
  for (const auto& [one, facts] : {std::pair{&first, &variants[0]}, std::pair{&second, &variants[1]}}) {
    EXPECT_EQ(one->own->sha256, facts->sha256);
    EXPECT_EQ(one->own->crc32c, facts->crc32c);
    EXPECT_EQ(one->own->builder, facts->builder);
    EXPECT_EQ(one->own->streamable_bytes, facts->streamable_bytes);
    EXPECT_EQ(one->hardware_compatible, facts->hardware_compatible);
    EXPECT_TRUE(one->own->variants.empty());
    EXPECT_EQ(one->own->name, metadata.own->name);
  }
  ASSERT_EQ(first.own->weights->tensors.size(), 2U) << "in the order of the engine's list";
  EXPECT_EQ(first.own->weights->tensors[0].name, "a");
  EXPECT_EQ(first.own->weights->tensors[1].name, "b");
  EXPECT_EQ(second.own->weights->tensors.size(), metadata.own->weights->tensors.size());
  EXPECT_EQ(made_for(variants[0]), "compute capability 8.9 or 12.0, tensorrt_rtx 1.6.1");
  EXPECT_EQ(made_for(variants[1]), "any GPU");
}

TEST(ReadBlob, EngineIsInTheCallersBuffer) {
  const std::string bytes = make_blob(R"({"io_bindings":[]})", "the engine");
  const auto blob = read_blob(bytes.data(), bytes.size()).value();
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(blob.engine), blob.engine_size), "the engine");
  EXPECT_EQ((blob.engine - reinterpret_cast<const uint8_t*>(bytes.data())) % 16, 0);
}

}  // namespace
}  // namespace torchtrt_ws
