#pragma once

#include <string>
#include <vector>

#include "../../standin/cuda_fixture.h"
#include "../../standin/plan_writer.h"
#include "acceptance.h"

namespace torchtrt_ws::testing {

inline constexpr int64_t kMiB = 1 << 20;

/// A plan of the product under test.
inline std::vector<uint8_t> plan_bytes(PlanText text = {}) {
  text.rtx = is_rtx();
  return write_plan(text, standin_version(is_rtx()));
}

/// Tests of the adapter that set or count what only the stand-ins can. The fixture below it checks that the rules of
/// CUDA and TensorRT were kept and that nothing is left over.
class Adapter : public StandinTest {
 protected:
  void TearDown() override {
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error is left behind for the program's own checks";
    StandinTest::TearDown();
  }

  static Result<std::unique_ptr<Engine>> open(const PlanText& text = {}, const OpenOptions& options = {}) {
    return open_plan(plan_bytes(text), acceptance_metadata(), options);
  }

  /// Opens a plan whose I/O is `io` in plan text, with metadata for `bindings`, and makes the context.
  static std::unique_ptr<Engine> ready(const std::string& io, const std::vector<Binding>& bindings,
                                       const OpenOptions& options = {}) {
    PlanText text;
    text.io = io;
    return made_ready(open_plan(plan_bytes(text), metadata_of(bindings), options));
  }

  /// y = 2 * x + 1 for x of [4, columns].
  static std::unique_ptr<Engine> ready_wide(SizesType columns, const OpenOptions& options = {}) {
    const std::string shape = "4," + std::to_string(columns);
    return ready("input x float32 " + shape + " " + shape + " " + shape + "\noutput y float32 affine 1.0 2.0*x\n",
                 {{"x", "float32", {4, columns}, true}, {"y", "float32", {4, columns}, false}}, options);
  }

  static std::unique_ptr<Engine> ready(const PlanText& text = {}, const OpenOptions& options = {}) {
    return made_ready(open(text, options));
  }

  static std::unique_ptr<Engine> made_ready(Result<std::unique_ptr<Engine>> opened) {
    EXPECT_TRUE(is_ok(opened));
    if (!opened.ok()) return nullptr;
    auto engine = std::move(opened).value();
    Status made = engine->make_context();
    EXPECT_TRUE(is_ok(made));
    return made.ok() ? std::move(engine) : nullptr;
  }

  /// What TensorRT itself holds on the devices.
  static int64_t engine_bytes() {
    return standin_live_bytes("weights") + standin_live_bytes("scratch") + standin_live_bytes("context");
  }
};

}  // namespace torchtrt_ws::testing
