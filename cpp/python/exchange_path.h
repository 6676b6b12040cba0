#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "python/exchange_api.h"
#include "python/program.h"

namespace torchtrt_ws::python {

/// What a method declares of a tensor: the dtype's name, its shape, whether that is an upper bound, and whether
/// ExecuTorch has memory for it.
using DeclaredTensor = std::tuple<std::string, std::vector<int64_t>, bool, bool>;

/// The short way of a call whose tensors are all of one library with DLPack's exchange API, and lie where the method
/// wants them: nothing is copied, and Python is asked for nothing.
class ExchangePath {
 public:
  /// `type`: the class of the tensors. `device`: where all of them are, as CUDA counts devices; -1: in host memory.
  /// Throws NativeError for a class without the API, for one of another major version of DLPack, and for a dtype that
  /// is not known.
  ExchangePath(nanobind::type_object type, std::string method, const std::vector<DeclaredTensor>& inputs,
               const std::vector<DeclaredTensor>& outputs, int device);

  /// Runs the method. `given`: one value for each input. `out`: None, or the caller's memory for the outputs.
  ///
  /// Returns a list of the outputs, tensors of the library; None where some value is not as the method wants it, or the
  /// library would not do what it was asked: then nothing has run, and a slower way says what is wrong. On a device the
  /// work goes to the library's current stream, and is not waited for. Throws NativeError. Needs the GIL, and gives it
  /// away while it waits and runs.
  nanobind::object call(Program& program, nanobind::sequence given, nanobind::object out) const;

 private:
  struct Wanted {
    nanobind::dlpack::dtype dtype;
    std::vector<int64_t> shape;
    bool dynamic = false;
    bool planned = false;
    size_t most_bytes = 0;
  };
  /// What a call works with.
  struct Call;

  static Wanted wanted(const DeclaredTensor& declared);
  bool look(nanobind::handle value, const Wanted& wanted, nanobind::dlpack::dltensor& seen) const;
  bool add_inputs(Call& call, const Slots& slots, nanobind::sequence given) const;
  bool add_given_outputs(Call& call, nanobind::handle out) const;
  bool add_new_outputs(Call& call) const;

  const nanobind::object type_;
  const std::string method_;
  const ExchangeApi* api_ = nullptr;
  std::vector<Wanted> inputs_, outputs_;
  const int device_;
  nanobind::object is_negated_;  // the name of torch's method, whose API passes on what is not in memory; null: none
};

}  // namespace torchtrt_ws::python
