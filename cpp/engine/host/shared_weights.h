#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/host/nested_program.h"
#include "engine/host/packed_file.h"
#include "engine/host/residency.h"
#include "engine/sharers.h"

namespace torchtrt_ws::host {

/// XNNPACK's packed weights of all methods of a nested program, for the HostEngines that run them.
///
/// Each engine loads its own method with the same `packed_cache_path`: XNNPACK has one weights cache for a path, with
/// one mapping of the file, and a mutex that it holds while it compiles or runs a part of a program. So the weights are
/// resident once, and engines on them may be called from several threads, though XNNPACK then runs one after the other.
/// Source: executorch 1.5.1, backends/xnnpack/runtime/XNNWeightsCacheManager.h, XNNPACKBackend.cpp.
///
/// The budget is everybody's: it changes while none of them has a context.
class SharedWeights {
 public:
  explicit SharedWeights(const void* program) : program_(program) {}

  Sharers& sharers() noexcept { return sharers_; }

  /// Whose engines may share it; null: nobody's. Engines of other programs are for calls at the same time, which one
  /// weights cache does not allow: they map the file for themselves.
  const void* program() const noexcept { return program_; }

  /// Where XNNPACK finds the packed weights; empty: they are on the heap of each engine.
  std::string packed_cache_path() const { return packed_ ? packed_->loading_path() : std::string(); }

  /// After a load with that path: PackedFile::take_back_lock().
  void take_back_lock() const {
    if (packed_) packed_->take_back_lock();
  }

  /// The packed file, and where XNNPACK has mapped it.
  void set_packed(PackedFile packed, const std::vector<Range>& mappings);

  /// XNNPACK unmaps the file with the last program that has packed weights: this one stays until everybody has gone. It
  /// is not called any more, and the bytes that it was loaded from may go before it: destroying one reads none of them.
  /// Source: executorch 1.5.1, runtime/executor/method.cpp, ~Method() and ~BackendDelegate().
  void keep(NestedProgram program);
  void keep_nothing() { kept_.reset(); }

  int64_t streamable_bytes() const { return packed_ ? packed_->weight_bytes() : 0; }
  int64_t budget() const;
  int64_t budget_for(int64_t bytes) const;  // budget() after set_budget(bytes): whole pages
  void set_budget(int64_t bytes);
  int64_t resident_bytes() const;

  /// After a run: what is not kept is dropped.
  void drop_rest();

 private:
  const void* const program_;
  std::optional<PackedFile> packed_;
  std::optional<NestedProgram> kept_;  // destroyed before the file it maps
  std::vector<Residency> residency_;   // one for each mapping of the packed file: XNNPACK makes one of the whole file
  Sharers sharers_;
};

}  // namespace torchtrt_ws::host
