#include "engine/tensorrt/tensorrt_probe.h"

#include <cuda_runtime_api.h>

#include <optional>
#include <string>
#include <utility>

#include "base/quote.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/plan.h"
#include "engine/tensorrt/runtime.h"
#include "engine/tensorrt/validity_words.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr const char* kCannot = "cannot be told here: ";

CheckFact platform_fact(const std::string& subject, const std::string& recorded) {
  if (Status checked = check_platform(subject, recorded); !checked.ok()) {
    return fact_of("platform", Verdict::No, checked.failure());
  }
  if (names_a_platform(recorded)) return {"platform", Verdict::Ok, "a plan for " + in_quotes(recorded), "", {}};
  return {"platform",
          Verdict::Unknown,
          recorded.empty() ? "cannot be told: the file does not record what the plan was built for"
                           : "cannot be told: the file records " + in_quotes(recorded),
          "Save the program again with torchtrt-ws, which records it.",
          {}};
}

CheckFact plan_fact(const std::string& subject, const ProbeRequest& request) {
  if (Status checked = check_plan(subject, request.engine, request.size); !checked.ok()) {
    return fact_of("engine", Verdict::No, checked.failure());
  }
  const Product product = product_of(request.engine, request.size);
  return {"engine",
          Verdict::Ok,
          std::string("a plan of ") + product_name(product) + ", " + std::to_string(request.size) + " bytes",
          "",
          {{"engine", static_cast<int64_t>(request.size)}}};
}

CheckFact runtime_fact(const Result<const Library*>& library) {
  if (!library.ok()) return fact_of("runtime", Verdict::No, library.failure());
  const Library& found = *library.value();
  return {"runtime",
          Verdict::Ok,
          std::string(product_name(found.product)) + " " + found.version_text() + " (" + found.path + ")",
          "",
          {}};
}

CheckFact version_fact(const ProbeRequest& request, const Result<const Library*>& library) {
  if (product_of(request.engine, request.size) != Product::TensorRTRTX) {
    const bool recorded = request.metadata.own && !request.metadata.own->builder.empty();
    return {"version",
            Verdict::Unknown,
            "cannot be told: TensorRT documents no version in its plans" +
                (recorded ? " (built by " + in_quotes(request.metadata.own->builder) + ")" : ""),
            "",
            {}};
  }
  const std::optional<int32_t> built = rtx_plan_version(request.engine, request.size);
  if (!built) return {"version", Verdict::Unknown, "cannot be told: the plan ends within its header", "", {}};
  const std::string found = "a plan of TensorRT-RTX " + version_text(*built);
  if (!library.ok()) return {"version", Verdict::Unknown, found + "; no library here to compare with", "", {}};
  const Library& here = *library.value();
  if (*built == here.version) return {"version", Verdict::Ok, found + ", as is installed", "", {}};
  return {
      "version",
      Verdict::No,
      found + ", and " + here.version_text() + " is installed (" + here.path + ")",
      "Build the engine again with " + here.version_text() + ", or install TensorRT-RTX " + version_text(*built) + ".",
      {}};
}

std::string cuda_version(int version) {
  return version <= 0 ? "unknown" : std::to_string(version / 1000) + "." + std::to_string(version / 10 % 100);
}

CheckFact device_fact(const std::string& subject, int device) {
  const std::string name = "cuda:" + std::to_string(device);
  Status there = check_device(subject, device);
  cudaDeviceProp properties{};
  if (there.ok()) {
    there = check_cuda(subject, "cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, device));
  }
  if (!there.ok()) return fact_of("device", Verdict::No, there.failure());
  int driver = 0;
  int runtime = 0;
  ignore(cudaDriverGetVersion(&driver));
  ignore(cudaRuntimeGetVersion(&runtime));
  return {"device",
          Verdict::Ok,
          name + ": " + torchtrt_ws::escaped(properties.name) + ", compute capability " +
              std::to_string(properties.major) + "." + std::to_string(properties.minor) + ", a driver for CUDA " +
              cuda_version(driver) + ", runtime " + cuda_version(runtime),
          "",
          {{"total", static_cast<int64_t>(properties.totalGlobalMem)}}};
}

CheckFact validity_of(const std::string& subject, const ProbeRequest& request, bool library_is_there,
                      bool device_is_there) {
  const auto cannot = [](const std::string& why) {
    return CheckFact{"validity", Verdict::Unknown, kCannot + why, "", {}};
  };
  if (!library_is_there) return cannot("there is no TensorRT-RTX to ask");
  if (!device_is_there) return cannot("TensorRT-RTX looks at a plan where there is a GPU");
  auto runtime = Runtime::shared(subject, Product::TensorRTRTX, request.device);
  if (!runtime.ok()) return cannot(runtime.failure().found);
  auto said = runtime.value()->validity(subject, request.engine, request.size);
  return said.ok() ? validity_fact(said.value()) : cannot(said.failure().found);
}

std::optional<int64_t> free_bytes(int device) {
  const DeviceGuard guard(device);
  size_t free = 0;
  size_t total = 0;
  const cudaError_t asked = guard.error() == cudaSuccess ? cudaMemGetInfo(&free, &total) : guard.error();
  ignore(asked);
  return asked == cudaSuccess ? std::optional<int64_t>(static_cast<int64_t>(free)) : std::nullopt;
}

}  // namespace

Probe probe_tensorrt(const ProbeRequest& request) {
  const std::string subject = "engine '" + request.name + "'";
  const Product product = product_of(request.engine, request.size);
  const Result<const Library*> library = load_library(product);
  Probe probe;
  probe.holds_all = true;
  probe.device_name = "cuda:" + std::to_string(request.device);
  const CheckFact device = device_fact(subject, request.device);
  const bool device_is_there = device.verdict == Verdict::Ok;
  const CheckFact plan = plan_fact(subject, request);
  probe.facts = {platform_fact(subject, request.metadata.target_platform), plan, runtime_fact(library)};
  probe.facts.push_back(version_fact(request, library));
  probe.facts.push_back(device);
  if (product == Product::TensorRTRTX && plan.verdict == Verdict::Ok) {
    probe.facts.push_back(validity_of(subject, request, library.ok(), device_is_there));
  }
  if (device_is_there) probe.free_bytes = free_bytes(request.device);
  return probe;
}

}  // namespace torchtrt_ws::tensorrt
