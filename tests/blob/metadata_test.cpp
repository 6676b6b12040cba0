#include "blob/metadata.h"

#include <gtest/gtest.h>

#include <list>
#include <nlohmann/json.hpp>
#include <string>

#include "blob/header.h"

namespace torchtrt_ws {
namespace {

using Json = nlohmann::json;

/// What torchtrt-ws writes for one engine: x [-1, 32] -> y [8].
Json good() {
  return Json::parse(R"({
    "io_bindings": [{"name": "x", "dtype": "float32", "shape": [-1, 32], "is_input": true},
                    {"name": "y", "dtype": "float32", "shape": [8], "is_input": false}],
    "aliased_io": [], "hardware_compatible": true, "device_id": 1, "serialized_metadata": "gASV", "target_platform": "linux",
    "torchtrt_ws": {"schema": 1, "name": "forward", "kind": "host", "builder": "executorch 1.5.1",
      "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      "streamable_bytes": 123, "streamable_estimated": true, "program": {"engines": 2, "streamable_bytes": 500},
      "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 32], "min": [1, 32], "max": [8, 32]}],
      "outputs": [{"name": "y", "dtype": "float32", "shape": [8], "min": [8], "max": [8]}]}})");
}

Result<Metadata> parse(const Json& json) { return parse_metadata(json.dump()); }

TEST(ParseMetadata, TheScratchThatAnExportEstimatesIsForReports) {
  Json json = good();
  EXPECT_EQ(parse(json).value().own->scratch_estimate, std::nullopt);
  json["torchtrt_ws"]["streaming"]["scratch_bytes"] = 4096;
  EXPECT_EQ(parse(json).value().own->scratch_estimate, 4096);
  for (const Json& other : {Json("x"), Json(-1), Json(1.5), Json(), Json(UINT64_MAX)}) {
    json["torchtrt_ws"]["streaming"]["scratch_bytes"] = other;
    ASSERT_TRUE(parse(json).ok()) << other;
    EXPECT_EQ(parse(json).value().own->scratch_estimate, std::nullopt) << other;
  }
  json["torchtrt_ws"]["streaming"] = "later";
  EXPECT_TRUE(parse(json).ok());
}

TEST(ParseMetadata, ReadsEveryField) {
  const auto result = parse(good());
  ASSERT_TRUE(result.ok()) << result.failure().message();
  const Metadata& metadata = result.value();
  ASSERT_EQ(metadata.io_bindings.size(), 2U);
  EXPECT_EQ(metadata.io_bindings[0].name, "x");
  EXPECT_EQ(metadata.io_bindings[0].dtype, "float32");
  EXPECT_EQ(metadata.io_bindings[0].shape, (std::vector<int64_t>{-1, 32}));
  EXPECT_TRUE(metadata.io_bindings[0].is_input);
  EXPECT_FALSE(metadata.io_bindings[1].is_input);
  EXPECT_TRUE(metadata.hardware_compatible);
  EXPECT_EQ(metadata.device_id, 1);
  EXPECT_EQ(metadata.target_platform, "linux");
  const OwnFacts& own = metadata.own.value();
  EXPECT_EQ(own.schema, 1);
  EXPECT_EQ(own.name, "forward");
  EXPECT_EQ(own.kind, "host");
  EXPECT_EQ(own.sha256.size(), 64U);
  EXPECT_EQ(own.builder, "executorch 1.5.1");
  EXPECT_EQ(own.streamable_bytes, 123);
  EXPECT_TRUE(own.streamable_estimated);
  EXPECT_EQ(own.program_engines, 2);
  EXPECT_EQ(own.program_streamable_bytes, 500);
  EXPECT_EQ(own.program_distinct_bytes, std::nullopt);
  EXPECT_EQ(own.nested_method, "forward");
  ASSERT_EQ(own.inputs.size(), 1U);
  EXPECT_EQ(own.inputs[0].min, (std::vector<int64_t>{1, 32}));
  EXPECT_EQ(own.inputs[0].max, (std::vector<int64_t>{8, 32}));
  ASSERT_EQ(own.outputs.size(), 1U);
  EXPECT_EQ(own.outputs[0].shape, (std::vector<int64_t>{8}));
}

TEST(ParseMetadata, ReadsOptimizationProfiles) {
  Json json = good();
  Json& own = json["torchtrt_ws"];
  EXPECT_TRUE(parse(json).value().own->profiles.empty()) << "not known";
  own["optimization_profiles"] = Json::array();
  EXPECT_TRUE(parse(json).value().own->profiles.empty());
  own["optimization_profiles"] = Json::parse(R"([{"x": {"min": [1, 32], "opt": [2, 32], "max": [4, 32]}},
    {"later": 7, "x": {"later": 7, "min": [8, 32], "opt": [8, 32], "max": [8, 32]}}])");
  const auto result = parse(json);
  ASSERT_TRUE(result.ok()) << result.failure().message();
  const auto& profiles = result.value().own->profiles;
  ASSERT_EQ(profiles.size(), 2U);
  ASSERT_EQ(profiles[0].size(), 1U);
  EXPECT_EQ(profiles[0][0].min, (std::vector<int64_t>{1, 32}));
  EXPECT_EQ(profiles[0][0].opt, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(profiles[0][0].max, (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(profiles[1][0].min, (std::vector<int64_t>{8, 32}));
}

TEST(ParseMetadata, CapsTheProfilesAndEscapesTheirNames) {
  Json json = good();
  json["torchtrt_ws"]["optimization_profiles"] =
      Json(4097, Json::parse(R"({"x": {"min": [1, 32], "opt": [2, 32], "max": [4, 32]}})"));
  EXPECT_EQ(parse(json).failure().found, "a list of 4097");
  json = good();
  json["io_bindings"][0]["name"] = json["torchtrt_ws"]["inputs"][0]["name"] = "a\n\x1b[0m";
  json["torchtrt_ws"]["optimization_profiles"] = Json::parse("[{}]");
  EXPECT_EQ(parse(json).failure().subject, "engine blob: torchtrt_ws.optimization_profiles[0].a\\n\\x1b[0m");
}

TEST(ParseMetadata, NullBytesAreNotKnown) {
  Json json = good();
  json["torchtrt_ws"]["streamable_bytes"] = nullptr;
  json["torchtrt_ws"]["program"]["streamable_bytes"] = nullptr;
  const auto own = parse(json).value().own.value();
  EXPECT_EQ(own.streamable_bytes, std::nullopt);
  EXPECT_EQ(own.program_streamable_bytes, std::nullopt);
}

TEST(ParseMetadata, TorchTensorRTFilesNeedOnlyBindings) {
  const auto metadata = parse_metadata(R"({"io_bindings":[{"name":"x"}]})").value();
  EXPECT_EQ(metadata.io_bindings.at(0).dtype, "");
  EXPECT_TRUE(metadata.io_bindings.at(0).is_input);
  EXPECT_FALSE(metadata.hardware_compatible);
  EXPECT_EQ(metadata.device_id, 0);
  EXPECT_FALSE(metadata.own.has_value());
  EXPECT_TRUE(parse_metadata(R"({"io_bindings":[]})").ok());
}

TEST(ParseMetadata, IgnoresUnknownKeys) {
  Json json = good();
  json["later"] = {{"deep", Json::array({1, 2.5, nullptr})}};
  json["io_bindings"][0]["later"] = "x";
  json["torchtrt_ws"]["later"] = 1e300;
  EXPECT_TRUE(parse(json).ok());
}

TEST(ParseMetadata, ReadsAliases) {
  Json json = good();
  json["aliased_io"] = Json::parse(R"([{"output": "y", "input": "x"}])");
  const auto aliases = parse(json).value().aliased_io;
  ASSERT_EQ(aliases.size(), 1U);
  EXPECT_EQ(aliases[0].output, "y");
  EXPECT_EQ(aliases[0].input, "x");
  EXPECT_EQ(aliases[0].kind, "kv_cache_update") << "the kind of a blob that gives none";
  json["aliased_io"][0]["kind"] = "user";
  EXPECT_EQ(parse(json).value().aliased_io.at(0).kind, "user");
}

TEST(ParseMetadata, EscapedAndForeignNamesAreKept) {
  const auto metadata = parse_metadata(R"({"io_bindings":[{"name":"\u00e9\"\\\n"}]})").value();
  EXPECT_EQ(metadata.io_bindings.at(0).name, "\xc3\xa9\"\\\n");
}

TEST(ParseMetadata, ANewerSchemaIsToldApart) {
  Json json = good();
  json["torchtrt_ws"] = {{"schema", 4}, {"name", 7}};  // the rest may mean anything
  json["io_bindings"] = "changed too";
  const auto result = parse(json);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().code, ErrorCode::NewerSchema);
  EXPECT_EQ(
      result.failure().message(),
      "engine blob: torchtrt_ws.schema: found 4; expected 3 or less. The file was written by a newer torchtrt-ws: "
      "upgrade torchtrt-ws here.");
  json["torchtrt_ws"]["schema"] = INT64_MAX;
  EXPECT_EQ(parse(json).failure().code, ErrorCode::NewerSchema);
}

struct Row {
  const char* pointer;  // where good() is changed
  const char* value;    // to this JSON; null: removed
  const char* message;  // part of the message
};

constexpr const char* kTensorList = "/torchtrt_ws/inputs/0";
constexpr const char* kProfiles = "/torchtrt_ws/optimization_profiles";

/// A list of one profile of x; it lives as long as the tests do.
const char* profile(const std::string& min, const std::string& opt, const std::string& max) {
  static std::list<std::string> all;
  return all.emplace_back(R"([{"x": {"min": )" + min + R"(, "opt": )" + opt + R"(, "max": )" + max + "}}]").c_str();
}

TEST(ParseMetadata, RefusesWrongValues) {
  const Row rows[] = {
      {"/io_bindings", nullptr, "io_bindings: found nothing; expected a list"},
      {"/io_bindings", "{}", "io_bindings: found an object; expected a list"},
      {"/io_bindings/0", "7", "io_bindings[0]: found 7; expected an object"},
      {"/io_bindings/0/name", nullptr, "io_bindings[0].name: found nothing"},
      {"/io_bindings/0/name", "\"\"", "io_bindings[0].name: found an empty text"},
      {"/io_bindings/0/name", "\"a\\u0000b\"", "io_bindings[0].name: found \"a\\x00b\"; expected a text without NUL"},
      {"/io_bindings/0/dtype", "6", "io_bindings[0].dtype: found 6; expected a text"},
      {"/io_bindings/0/shape", "\"x\"", "io_bindings[0].shape: found \"x\"; expected a list"},
      {"/io_bindings/0/shape/1", "-2", "io_bindings[0].shape[1]: found -2; expected a whole number from -1"},
      {"/io_bindings/0/shape/1", "9223372036854775808", "io_bindings[0].shape[1]: found 9223372036854775808"},
      {"/io_bindings/0/shape/1", "1.5", "io_bindings[0].shape[1]: found 1.5"},
      {"/io_bindings/0/shape/1", "true", "io_bindings[0].shape[1]: found true"},
      {"/io_bindings/0/shape", "[1,1,1,1,1,1,1,1,1]", "io_bindings[0].shape: found a list of 9; expected at most 8"},
      {"/io_bindings/0/is_input", "1", "io_bindings[0].is_input: found 1; expected true or false"},
      {"/io_bindings/1", R"({"name": "x"})", "io_bindings[1].name: found \"x\" again"},
      {"/aliased_io", "{}", "aliased_io: found an object"},
      {"/aliased_io", R"([{"input": "x"}])", "aliased_io[0].output: found nothing"},
      {"/aliased_io", R"([{"output": "y", "input": "z"}])", "aliased_io[0].input: found \"z\""},
      {"/aliased_io", R"([{"output": "x", "input": "x"}])", "aliased_io[0].output: found \"x\""},
      {"/aliased_io", R"([{"output": "y", "input": "x", "kind": "no"}])", "aliased_io[0].kind: found \"no\""},
      {"/aliased_io", R"([{"output":"y","input":"x"},{"output":"y","input":"x"}])", "[1].output: found \"y\" again"},
      {"/hardware_compatible", "0", "hardware_compatible: found 0; expected true or false"},
      {"/device_id", "-1", "device_id: found -1; expected a whole number from 0 to 2147483647"},
      {"/device_id", "2147483648", "device_id: found 2147483648"},
      {"/device_id", "4294967296", "device_id: found 4294967296"},
      {"/device_id", "18446744073709551616", "device_id: found 1.8446744073709552e+19"},
      {"/device_id", "99999999999999999999999999999999", "device_id: found 1e+32"},
      {"/device_id", "\"0\"", "device_id: found \"0\""},
      {"/device_id", "null", "device_id: found null"},
      {"/serialized_metadata", "{}", "serialized_metadata: found an object; expected a text"},
      {"/target_platform", "[]", "target_platform: found a list of 0"},
      {"/torchtrt_ws", "null", "torchtrt_ws: found null; expected an object"},
      {"/torchtrt_ws", "{}", "torchtrt_ws.schema: found nothing"},
      {"/torchtrt_ws/schema", "0", "torchtrt_ws.schema: found 0"},
      {"/torchtrt_ws/schema", "-1", "torchtrt_ws.schema: found -1"},
      {"/torchtrt_ws/schema", "1.0", "torchtrt_ws.schema: found 1.0"},
      {"/torchtrt_ws/schema", "\"1\"", "torchtrt_ws.schema: found \"1\""},
      {"/torchtrt_ws/name", nullptr, "torchtrt_ws.name: found nothing"},
      {"/torchtrt_ws/name", "\"two words\"", "torchtrt_ws.name: found \"two words\"; expected 1 to 39"},
      {"/torchtrt_ws/kind", "\"\"", "torchtrt_ws.kind: found an empty text"},
      {"/torchtrt_ws/sha256", "\"00\"", "torchtrt_ws.sha256: found \"00\"; expected 64 lower-case hex digits"},
      {"/torchtrt_ws/streamable_bytes", "-1", "torchtrt_ws.streamable_bytes: found -1"},
      {"/torchtrt_ws/streamable_bytes", "1e3", "torchtrt_ws.streamable_bytes: found 1000.0"},
      {"/torchtrt_ws/streamable_estimated", "null", "torchtrt_ws.streamable_estimated: found null"},
      {"/torchtrt_ws/program", nullptr, "torchtrt_ws.program: found nothing"},
      {"/torchtrt_ws/program/engines", "0", "torchtrt_ws.program.engines: found 0"},
      {"/torchtrt_ws/program/engines", "2147483648", "torchtrt_ws.program.engines: found 2147483648"},
      {"/torchtrt_ws/program/streamable_bytes", "9223372036854775808", "program.streamable_bytes: found 92"},
      {"/torchtrt_ws/inputs", nullptr, "torchtrt_ws.inputs: found nothing"},
      {"/torchtrt_ws/inputs", "[]", "torchtrt_ws.inputs: found no tensor; expected \"x\" at place 0"},
      {"/torchtrt_ws/inputs/0/name", "\"y\"", "torchtrt_ws.inputs: found \"y\"; expected \"x\" at place 0"},
      {"/torchtrt_ws/inputs/0/dtype", nullptr, "torchtrt_ws.inputs[0].dtype: found nothing"},
      {"/torchtrt_ws/inputs/0/min", "[1]", "torchtrt_ws.inputs[0].min: found 1 and max 2 dimensions; expected 2"},
      {"/torchtrt_ws/inputs/0/max", "[1,2,3]", "torchtrt_ws.inputs[0].min: found 2 and max 3 dimensions"},
      {"/torchtrt_ws/inputs/0/min/0", "-1", "torchtrt_ws.inputs[0].min[0]: found -1"},
      {"/torchtrt_ws/inputs/0/min/0", "9", "inputs[0].shape[0]: found -1 with min 9 and max 8; expected min not above"},
      {"/torchtrt_ws/inputs/0/max/1", "33", "inputs[0].shape[1]: found 32 with min 32 and max 33"},
      {kProfiles, "{}", "torchtrt_ws.optimization_profiles: found an object; expected a list"},
      {kProfiles, "null", "torchtrt_ws.optimization_profiles: found null; expected a list"},
      {kProfiles, "[7]", "torchtrt_ws.optimization_profiles[0]: found 7; expected an object"},
      {kProfiles, "[{}]", "torchtrt_ws.optimization_profiles[0].x: found nothing; expected an object"},
      {kProfiles, R"([{"y": {"min": [8], "opt": [8], "max": [8]}}])", "optimization_profiles[0].x: found nothing"},
      {kProfiles, R"([{"x": {"opt": [1, 32], "max": [8, 32]}}])", "[0].x.min: found nothing; expected a list"},
      {kProfiles, R"([{"x": {"min": [1, 32], "max": [8, 32]}}])", "[0].x.opt: found nothing"},
      {kProfiles, profile("[-1, 32]", "[4, 32]", "[8, 32]"), "[0].x.min[0]: found -1"},
      {kProfiles, profile("[1, 32]", "[4, 32]", "[9223372036854775808, 32]"),
       "[0].x.max[0]: found 9223372036854775808"},
      {kProfiles, profile("[1, 32]", "[4.0, 32]", "[8, 32]"), "[0].x.opt[0]: found 4.0"},
      {kProfiles, profile("[1, 32]", "[4]", "[8, 32]"), "[0].x: found bounds of another rank"},
      {kProfiles, profile("[1, 32, 1]", "[4, 32, 1]", "[8, 32, 1]"), "[0].x: found bounds of another rank"},
      {kProfiles, profile("[4, 32]", "[3, 32]", "[8, 32]"), "expected 2 dimensions each, min <= opt <= max"},
      {kProfiles, profile("[4, 32]", "[8, 32]", "[7, 32]"), "expected 2 dimensions each, min <= opt <= max"},
      {kProfiles, profile("[0, 32]", "[4, 32]", "[8, 32]"), "within the bounds in inputs"},
      {kProfiles, profile("[1, 32]", "[4, 32]", "[9, 32]"), "within the bounds in inputs"},
      {kProfiles, profile("[1, 31]", "[4, 32]", "[8, 32]"), "within the bounds in inputs"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.pointer) + " = " + (row.value != nullptr ? row.value : "removed"));
    Json json = good();
    const Json::json_pointer pointer(row.pointer);
    if (row.value != nullptr) {
      json[pointer] = Json::parse(row.value);
    } else {
      json.at(pointer.parent_pointer()).erase(pointer.back());
    }
    const auto result = parse(json);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.failure().code, ErrorCode::BadBlob);
    const std::string message = result.failure().message();
    EXPECT_NE(message.find(row.message), std::string::npos) << message;
  }
}

TEST(ParseMetadata, RefusesMoreTensorsThanBindings) {
  Json json = good();
  Json& inputs = json["torchtrt_ws"]["inputs"];
  inputs.push_back(json.at(Json::json_pointer(kTensorList)));
  EXPECT_EQ(parse(json).failure().found, "2 tensors");
}

TEST(ParseMetadata, CapsTheLists) {
  auto bindings = [](std::size_t count) {
    Json json = {{"io_bindings", Json::array()}};
    for (std::size_t i = 0; i < count; ++i) json["io_bindings"].push_back({{"name", "x" + std::to_string(i)}});
    return json;
  };
  EXPECT_TRUE(parse(bindings(wire::kMaxBindings)).ok());
  const auto result = parse(bindings(wire::kMaxBindings + 1));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().message().substr(0, 73),
            "engine blob: io_bindings: found a list of 4097; expected at most 4096 ent");
}

TEST(ParseMetadata, RefusesWhatIsNotStrictJson) {
  const std::string tail = R"("io_bindings":[]})";
  const std::string texts[] = {
      "",
      " ",
      "null",
      "[]",
      "7",
      "{",
      "{" + tail + "}",
      "{" + tail + " x",
      "{" + tail + std::string("\0", 1),
      "{" + tail + std::string("\0garbage", 8),
      "\xef\xbb\xbf{" + tail,
      R"({"io_bindings":[],})",
      R"({'io_bindings':[]})",
      "{/* c */" + tail,
      R"({"a":NaN,)" + tail,
      R"({"a":Infinity,)" + tail,
      R"({"a":1e999,)" + tail,
      R"({"a":01,)" + tail,
      R"({"a":+1,)" + tail,
      R"({"a":.5,)" + tail,
      "{\"a\":\"\xff\"," + tail,
      "{\"a\":\"\xc0\xaf\"," + tail,      // overlong
      "{\"a\":\"\xed\xa0\x80\"," + tail,  // a surrogate
      R"({"a":"\ud800",)" + tail,         // half a pair
      R"({"a":"\x41",)" + tail,
      "{\"a\":\"line\nbreak\"," + tail,
  };
  for (const std::string& text : texts) {
    const auto result = parse_metadata(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.failure().code, ErrorCode::BadBlob) << text;
    EXPECT_EQ(result.failure().subject, "engine blob: metadata") << text;
    EXPECT_LT(result.failure().message().size(), 300U) << text;
  }
}

TEST(ParseMetadata, RefusesAKeyTwice) {
  EXPECT_FALSE(parse_metadata(R"({"io_bindings":[],"io_bindings":[]})").ok());
  EXPECT_FALSE(parse_metadata(R"({"io_bindings":[{"name":"x","name":"y"}]})").ok());
  const auto result = parse_metadata(R"({"a":{"b":1},"c":[{"b":2},{"d":[{"b":3}],"\u0064":4}],"io_bindings":[]})");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().found, "the key \"d\" twice in one object");
  EXPECT_TRUE(parse_metadata(R"({"a":{"a":[{"a":1},{"a":2}]},"b":{"a":3},"io_bindings":[]})").ok());
}

TEST(ParseMetadata, CapsTheDepth) {
  auto nested = [](std::size_t levels) {  // the document is one level more
    return R"({"io_bindings":[],"a":)" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  EXPECT_TRUE(parse_metadata(nested(wire::kMaxJsonDepth - 1)).ok());
  const auto result = parse_metadata(nested(wire::kMaxJsonDepth));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().found, "more than 32 levels");
  EXPECT_EQ(parse_metadata(nested(400000)).failure().found, "more than 32 levels");
  EXPECT_EQ(parse_metadata(std::string(wire::kMaxStrippedMetadataSize, '[')).failure().found, "more than 32 levels");
}

TEST(ParseMetadata, CapsTheSize) {
  std::string text = R"({"io_bindings":[]})";
  text.resize(wire::kMaxStrippedMetadataSize, ' ');
  EXPECT_TRUE(parse_metadata(text).ok());
  EXPECT_EQ(parse_metadata(text + " ").failure().found, "4194305 bytes");
}

TEST(ParseMetadata, TakesLinearTime) {
  // A reader that is quadratic in the entries of a list takes minutes here.
  std::string text = R"({"io_bindings":[],"a":[{})";
  while (text.size() + 5 <= wire::kMaxStrippedMetadataSize) text += ",{}";
  text += "]}";
  EXPECT_TRUE(parse_metadata(text).ok());
}

TEST(ParseMetadata, EveryTruncationIsRefused) {
  const std::string text = good().dump();
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_metadata(std::string_view(text).substr(0, size)).ok()) << size;
  }
}

TEST(ParseMetadata, NoChangedByteCrashes) {
  const std::string text = good().dump();
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char byte : {'\0', '"', '{', ']', '9', '-', '\xff'}) {
      std::string changed = text;
      changed[i] = byte;
      const auto result = parse_metadata(changed);
      if (!result.ok()) {
        EXPECT_FALSE(result.failure().message().empty());
      }
    }
  }
}

}  // namespace
}  // namespace torchtrt_ws
