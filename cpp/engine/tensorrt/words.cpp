#include "engine/tensorrt/words.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <initializer_list>
#include <string>

#include "base/quote.h"

namespace torchtrt_ws::tensorrt {
namespace {

bool contains_any(std::string_view words, std::initializer_list<std::string_view> phrases) {
  std::string lower(words);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(phrases.begin(), phrases.end(),
                     [&lower](std::string_view phrase) { return lower.find(phrase) != std::string::npos; });
}

}  // namespace

bool says_out_of_memory(std::string_view words) {
  return contains_any(words, {"out of memory", "outofmemory", "out_of_memory", "ran out of", "could not be allocated",
                              "not be enough free memory", "memory allocation failed", "cannot get device memory",
                              "failed_allocation", "cudaerrormemoryallocation", "cudaerror 2:"});
}

bool says_other_version(std::string_view words) {
  // Garbage makes TensorRT speak of versions too, but then its magic tag is wrong as well.
  if (contains_any(words, {"magictag", "magic tag"})) return false;
  return contains_any(words, {"incompatible", "not compatible", "compute capability", "version tag", "library version",
                              "expecting compute", "different version", "built on a different", "platform"});
}

bool says_cuda_failed(std::string_view words) {
  // Without a working GPU TensorRT ends each refusal with a CUDA error; what it said of the plan comes first.
  return contains_any(words, {"cuda runtime (", "cuda driver ("}) &&
         !contains_any(words, {"serialization (", "assertion"});
}

std::optional<cudaError_t> named_cuda_error(std::string_view words) {
  constexpr std::string_view kNumber = "failure with error: ";
  if (const size_t at = words.find(kNumber); at != words.npos) {
    const char* const number = words.data() + at + kNumber.size();
    int error = 0;
    const bool read = std::from_chars(number, words.data() + words.size(), error).ec == std::errc();
    if (read && error > 0) return static_cast<cudaError_t>(error);
  }
  constexpr std::string_view kText = "Cuda Runtime (";
  const size_t at = words.find(kText);
  if (at == words.npos) return std::nullopt;
  const std::string_view text = words.substr(at + kText.size());
  for (int error = 1; error < cudaErrorUnknown; ++error) {
    const std::string_view known = cudaGetErrorString(static_cast<cudaError_t>(error));
    if (text.substr(0, known.size() + 1) == std::string(known) + ")") return static_cast<cudaError_t>(error);
  }
  return cudaErrorUnknown;
}

Failure refused_call(const std::string& subject, const char* call, const std::string& tensor,
                     const std::string& words) {
  const std::string about = tensor.empty() ? subject : subject + ", tensor " + in_quotes(tensor);
  const std::string found = std::string(call) + " failed" + (words.empty() ? "" : ": " + words);
  if (says_out_of_memory(words)) {
    return {ErrorCode::DoesNotFit, about, found, "enough free memory on the device",
            "Free memory there, or choose a smaller budget"};
  }
  const char* next_step = tensor.empty() ? "If there is a caller's stream, check that it belongs to the engine's device"
                                         : "Report it with this message";
  return {ErrorCode::EngineFault, about, found, "success", next_step};
}

}  // namespace torchtrt_ws::tensorrt
