#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/host/nested_program.h"
#include "engine/host/packed_file.h"
#include "engine/host/residency.h"
#include "engine/payload.h"
#include "engine/sharers.h"

namespace torchtrt_ws::host {

/// A nested program's bytes and XNNPACK's packed weights of all its methods, for the HostEngines that run them.
///
/// Each engine loads its own method with the same `packed_cache_path`: XNNPACK has one weights cache for a path, with
/// one mapping of the file, and a mutex that it holds while it compiles or runs a part of a program. So the weights are
/// resident once, and engines on them may be called from several threads, though XNNPACK then runs one after the other.
/// Source: executorch 1.5.1, backends/xnnpack/runtime/XNNWeightsCacheManager.h, XNNPACKBackend.cpp.
///
/// The budget is everybody's: it changes while none of them has a context.
class SharedWeights {
 public:
  SharedWeights(Payload payload, const void* program) : payload_(std::move(payload)), program_(program) {}

  const Payload& payload() const noexcept { return payload_; }
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

  /// XNNPACK unmaps the file with the last program that has packed weights: this one stays until everybody has gone.
  void keep(NestedProgram program);
  void keep_nothing() { kept_.reset(); }

  int64_t streamable_bytes() const { return packed_ ? packed_->weight_bytes() : 0; }
  int64_t budget() const;
  void set_budget(int64_t bytes);
  int64_t resident_bytes() const;

  /// After a run: what is not kept is dropped.
  void drop_rest();

 private:
  // Destroyed in reverse: programs first, since they read the payload and map the packed file.
  Payload payload_;  // kept: constants that XNNPACK does not pack are read in place
  const void* const program_;
  std::optional<PackedFile> packed_;
  std::optional<NestedProgram> kept_;
  std::vector<Residency> residency_;  // one for each mapping of the packed file: XNNPACK makes one of the whole file
  Sharers sharers_;
};

}  // namespace torchtrt_ws::host
