#include "acceptance.h"

#include <NvInferVersion.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "../../standin/plan_writer.h"

namespace torchtrt_ws::testing {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

float x_at(size_t i, int seed) { return static_cast<float>((i * 7 + static_cast<size_t>(seed) * 11) % 50); }

std::vector<uint8_t> read_plan(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<uint8_t> of_standin(PlanText text) {
  text.rtx = is_rtx();
  text.weights = 100000;
  return write_plan(text, standin_version(is_rtx()));
}

std::vector<uint8_t> read_or_write_plan() {
  const std::string path = variable("TORCHTRT_WS_TEST_PLAN");
  return path.empty() ? of_standin({}) : read_plan(path);
}

/// The file that a variable names; without it the stand-in's plan, unless the main plan is a file.
std::vector<uint8_t> read_or_write(const char* name, const std::string& io, const std::string& extra = "") {
  const std::string path = variable(name);
  if (!path.empty()) return read_plan(path);
  if (!variable("TORCHTRT_WS_TEST_PLAN").empty()) return {};
  PlanText text;
  text.io = io;
  text.extra = extra;
  return of_standin(text);
}

}  // namespace

bool is_rtx() { return variable("TORCHTRT_WS_TEST_PRODUCT") == "rtx"; }

std::array<uint8_t, 4> standin_version(bool rtx) {
  if (rtx) return NV_TENSORRT_MAJOR == 10 ? std::array<uint8_t, 4>{1, 4, 0, 76} : std::array<uint8_t, 4>{1, 6, 1, 120};
  return {NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH, NV_TENSORRT_BUILD};
}

SizesType width() {
  const std::string width = variable("TORCHTRT_WS_TEST_WIDTH");
  return width.empty() ? 4 : static_cast<SizesType>(std::stoi(width));
}

const std::vector<uint8_t>& acceptance_plan() {
  static const std::vector<uint8_t> plan = read_or_write_plan();
  return plan;
}

const std::vector<uint8_t>& profiles_plan() {
  static const std::vector<uint8_t> plan = read_or_write("TORCHTRT_WS_TEST_PROFILES",
                                                         "input x float32 1,4 2,4 2,4\n"
                                                         "profile x 4,4 8,4 8,4\n"
                                                         "output y float32 affine 1.0 2.0*x\n",
                                                         "context 1048576 4194304\n");
  return plan;
}

const std::vector<uint8_t>& nonzero_plan() {
  static const std::vector<uint8_t> plan = read_or_write("TORCHTRT_WS_TEST_NONZERO",
                                                         "input x float32 1,4 8,4 8,4\n"
                                                         "output y int64 nonzero 0 x\n");
  return plan;
}

const std::vector<uint8_t>& shapes_plan() {
  static const std::vector<uint8_t> plan = read_or_write("TORCHTRT_WS_TEST_SHAPES",
                                                         "input x float32 1,4 1,4 1,4\n"
                                                         "input k int64 2 2 2 host\n"
                                                         "values k 1,4 4,4 8,4\n"
                                                         "output y float32 affine 0 1*x shape k\n");
  return plan;
}

const std::vector<uint8_t>& state_plan() {
  static const std::vector<uint8_t> plan = read_or_write("TORCHTRT_WS_TEST_STATE",
                                                         "input x float32 4,4 4,4 4,4\n"
                                                         "input sum float32 4,4 4,4 4,4\n"
                                                         "output y float32 affine 1 2*x 2*sum\n"
                                                         "output sum_after float32 affine 0 1*x 1*sum\n");
  return plan;
}

Metadata acceptance_metadata() {
  return metadata_of({{"x", "float32", {-1, width()}, true}, {"y", "float32", {-1, width()}, false}});
}

Tensor make_x(SizesType rows, int seed, Where where, size_t misalign) {
  Tensor x(ScalarType::Float, {rows, width()}, where, misalign);
  fill_x(x, seed);
  return x;
}

Tensor make_y(SizesType rows, Where where, size_t misalign) {
  Tensor y(ScalarType::Float, {rows, width()}, where, misalign);
  y.put(std::vector<float>(y.nbytes() / sizeof(float), -1));
  return y;
}

void fill_x(Tensor& x, int seed) {
  std::vector<float> values(x.nbytes() / sizeof(float));
  for (size_t i = 0; i < values.size(); ++i) values[i] = x_at(i, seed);
  x.put(values);
}

::testing::AssertionResult is_answer(const Tensor& y, SizesType rows, int seed) {
  if (y.sizes != std::vector<SizesType>{rows, width()}) return ::testing::AssertionFailure() << "wrong shape";
  const auto values = y.get<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const float want = 2 * x_at(i, seed) + 1;
    if (values[i] != want) {
      return ::testing::AssertionFailure() << "element " << i << " is " << values[i] << ", not " << want;
    }
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult runs(Engine& engine, SizesType rows, int seed, Where in, Where out, size_t misalign) {
  Tensor x = make_x(rows, seed, in, misalign);
  Tensor y = make_y(kMostRows, out, misalign);
  Sink sink({&y});
  Status ran = engine.run({x.view()}, sink);
  if (!ran.ok()) return is_ok(ran);
  return is_answer(y, rows, seed);
}

std::unique_ptr<Engine> Acceptance::ready(const OpenOptions& options, int64_t budget,
                                          const std::vector<uint8_t>& plan) {
  auto opened = open_plan(plan, acceptance_metadata(), options);
  EXPECT_TRUE(is_ok(opened));
  if (!opened.ok()) return nullptr;
  auto engine = std::move(opened).value();
  EXPECT_TRUE(is_ok(engine->set_budget(std::min(budget, engine->streamable_bytes()))));
  EXPECT_TRUE(is_ok(engine->make_context()));
  return engine;
}

}  // namespace torchtrt_ws::testing
