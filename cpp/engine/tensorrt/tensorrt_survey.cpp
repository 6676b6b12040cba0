#include "engine/tensorrt/tensorrt_survey.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <string>
#include <utility>

#include "base/quote.h"
#include "engine/engine_probe.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/library.h"

namespace torchtrt_ws::tensorrt {
namespace {

/// The file that a function is in: what a bare name was resolved to.
std::string file_of(const void* function, const std::string& otherwise) {
  Dl_info info{};
  return dladdr(function, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : otherwise;
}

CheckFact library_fact(Product product) {
  const Result<const Library*> library = load_library(product);
  if (!library.ok()) return fact_of(product_name(product), Verdict::No, library.failure());
  const Library& found = *library.value();
  const std::string file = file_of(reinterpret_cast<const void*>(found.create_runtime), found.path);
  return {product_name(product), Verdict::Ok, found.version_text() + " (" + file + ")", "", {}};
}

std::string dotted(int version) { return std::to_string(version / 1000) + "." + std::to_string(version / 10 % 100); }

CheckFact cuda_runtime_fact() {
  int version = 0;
  ignore(cudaRuntimeGetVersion(&version));
  const std::string file = file_of(reinterpret_cast<const void*>(&cudaRuntimeGetVersion), "libcudart");
  return {"CUDA runtime", Verdict::Ok, dotted(version) + " (" + file + ")", "", {}};
}

/// 0 where there is none: CUDA says so, and no error.
CheckFact driver_fact() {
  int version = 0;
  ignore(cudaDriverGetVersion(&version));
  if (version <= 0) {
    return {"driver", Verdict::No, "none found", "Install NVIDIA's driver, or run on a machine that has a GPU.", {}};
  }
  return {"driver", Verdict::Ok, "for CUDA " + dotted(version), "", {}};
}

CheckFact device_fact(int device) {
  const std::string name = "cuda:" + std::to_string(device);
  cudaDeviceProp properties{};
  const Status told = check_cuda(name, "cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, device));
  if (!told.ok()) return fact_of(name, Verdict::No, told.failure());
  return {name,
          Verdict::Ok,
          escaped(properties.name) + ", compute capability " + std::to_string(properties.major) + "." +
              std::to_string(properties.minor),
          "",
          {{"total", static_cast<int64_t>(properties.totalGlobalMem)}}};
}

}  // namespace

std::vector<CheckFact> survey_tensorrt() {
  std::vector<CheckFact> facts;
  facts.push_back({"headers", Verdict::Ok, headers_text(), "", {}});
  facts.push_back(library_fact(Product::TensorRT));
  facts.push_back(library_fact(Product::TensorRTRTX));
  facts.push_back(cuda_runtime_fact());
  facts.push_back(driver_fact());
  const Status first = check_device("device", 0);
  if (!first.ok()) facts.push_back(fact_of("device", Verdict::No, first.failure()));
  int count = 0;
  ignore(cudaGetDeviceCount(&count));
  for (int device = 0; first.ok() && device < count; ++device) facts.push_back(device_fact(device));
  return facts;
}

}  // namespace torchtrt_ws::tensorrt
