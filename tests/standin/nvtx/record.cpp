// Stands in for one of NVIDIA's tools: NVTX loads it where NVTX_INJECTION64_PATH names it, and it writes the domain and
// the name of each range that begins as a line of the file STANDIN_NVTX_FILE, and "end" for each that ends.

#include <nvtx3/nvToolsExt.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

namespace {

std::mutex& mutex() {
  static std::mutex mutex;  // guards the two below
  return mutex;
}

std::vector<std::string>& domains() {
  static auto* domains = new std::vector<std::string>;  // leaked: ranges may end while the process does
  return *domains;
}

void write(const std::string& line) {
  static std::FILE* const file = std::fopen(std::getenv("STANDIN_NVTX_FILE"), "a");
  if (file == nullptr) return;
  std::fprintf(file, "%s\n", line.c_str());
  std::fflush(file);
}

/// A handle is the position of the domain's name, counted from 1.
nvtxDomainHandle_t NVTX_API create_domain(const char* name) {
  const std::lock_guard<std::mutex> lock(mutex());
  domains().emplace_back(name);
  return reinterpret_cast<nvtxDomainHandle_t>(domains().size());
}

int NVTX_API push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* event) {
  const std::lock_guard<std::mutex> lock(mutex());
  const auto position = reinterpret_cast<size_t>(domain);
  const std::string name = position == 0 ? "?" : domains().at(position - 1);
  write(name + ": " + (event->messageType == NVTX_MESSAGE_TYPE_ASCII ? event->message.ascii : "?"));
  return 0;
}

int NVTX_API pop(nvtxDomainHandle_t) {
  const std::lock_guard<std::mutex> lock(mutex());
  write("end");
  return 0;
}

template <typename Function>
void replace(NvtxFunctionTable table, int which, Function function) {
  *table[which] = reinterpret_cast<NvtxFunctionPointer>(function);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t find) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(find(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned int size = 0;
  if (std::getenv("STANDIN_NVTX_FILE") == nullptr || callbacks == nullptr ||
      callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size) == 0) {
    return 0;
  }
  replace(table, NVTX_CBID_CORE2_DomainCreateA, &create_domain);
  replace(table, NVTX_CBID_CORE2_DomainRangePushEx, &push);
  replace(table, NVTX_CBID_CORE2_DomainRangePop, &pop);
  return 1;
}
