// Loads two methods of a program that have their weights in common, and unloads the first: the other one stays as it
// was, at any budget. Called by test_common_weights.py.
//
//     unload FILE FIRST SECOND ROWS COLUMNS     # the inputs of SECOND: float32[ROWS, COLUMNS] of ones

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <torchtrt_ws/engines.h>
#include <torchtrt_ws/load_options.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

using executorch::extension::Module;
using executorch::runtime::Error;
using executorch::runtime::EValue;

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "unload: " << what << '\n';
  std::exit(1);
}

std::vector<float> run(Module& module, const std::string& method, const executorch::extension::TensorPtr& input) {
  const auto outputs = module.execute(method, std::vector<EValue>{EValue(input)});
  require(outputs.ok(), method + " does not run");
  const auto tensor = outputs->at(0).toTensor();
  const float* data = tensor.const_data_ptr<float>();
  return {data, data + tensor.numel()};
}

void set_percent(int percent) {
  torchtrt_ws::LoadOptions options;
  options.set_percent(percent);
  const auto view = options.view();
  const auto engines = torchtrt_ws::engines();
  require(engines.size() == 1 && engines[0].shared_with.empty(), "one engine is left");
  require(torchtrt_ws::set_budget(engines[0].id, {view.data(), view.size()}) == Error::Ok, "the budget changes");
}

}  // namespace

int main(int count, char** arguments) {
  require(count == 6, "five arguments");
  const std::string file = arguments[1], first = arguments[2], second = arguments[3];
  const auto input = executorch::extension::ones({std::atoi(arguments[4]), std::atoi(arguments[5])});
  torchtrt_ws::LoadOptions options;
  options.set_percent(50);
  executorch::runtime::LoadBackendOptionsMap map;
  require(options.add_to(map) == Error::Ok, "options");
  Module module(file, Module::LoadMode::Mmap);
  require(module.load(map) == Error::Ok, "the program is loaded");
  require(module.load_method(first) == Error::Ok && module.load_method(second) == Error::Ok, "methods are loaded");
  require(torchtrt_ws::engines().size() == 2 && torchtrt_ws::engines()[1].shared_with.size() == 1, "they share");
  const std::vector<float> want = run(module, second, input);
  for (int round = 0; round < 3; ++round) {
    require(module.unload_method(first), "the first is unloaded");
    for (const int percent : {0, 100, 30}) {
      set_percent(percent);
      require(run(module, second, input) == want, "the second gives what it gave");
      const auto report = torchtrt_ws::engines()[0];
      require(report.device_bytes >= report.budget_bytes, "the weights count as its own now");
    }
    require(module.load_method(first) == Error::Ok, "the first is loaded again");
    require(torchtrt_ws::engines().size() == 2 && torchtrt_ws::engines()[0].shared_with.size() == 1,
            "they share again");
    require(run(module, second, input) == want, "the second gives what it gave");
  }
  return 0;
}
