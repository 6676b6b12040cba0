#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_region.h"
#include "blob/metadata.h"
#include "blob/verification.h"
#include "engine/weights.h"

namespace torchtrt_ws {

/// What is known of one engine's bytes: enough to tell whether another's are the same.
struct PayloadKey {
  std::string kind;
  int device;                        ///< CUDA's index; engines of kinds without one record one too
  uint64_t size;                     ///< bytes
  std::optional<FileRegion> region;  ///< where they are mapped from; nullopt: in memory of their own
  std::string recorded_sha256;       ///< what the file says; empty where it does not. Never believed alone
  std::string computed_sha256;       ///< computed over the bytes; empty until somebody did
  Verify verified;                   ///< how the bytes were compared with what the file records of them
  /// Of an engine without weights, each of these: where it is mapped from, by its name in the engine.
  std::vector<std::pair<std::string, std::optional<FileRegion>>> weights = {};
};

PayloadKey key_of(const std::string& kind, int device, const uint8_t* data, uint64_t size, const Metadata& metadata,
                  Verify verify);

/// Notes where the weights of an engine without any are. Fails as Weights::find() does.
Status note_weights(PayloadKey& key, const std::string& subject, const SeparateWeights& listed,
                    const WeightsSource* source);

/// Whether a later engine with the same bytes can be told to have them: same_bytes() needs a file, or a digest.
bool can_be_shared(const PayloadKey& key);

/// Whether `loaded`, of a live engine, and `own`, whose bytes are at `data`, are the same bytes. The same region of the
/// same unchanged file is; else both digests are computed, where the recorded ones agree, and noted in `own`. The live
/// engine's are read from its file again, and are not known where that has changed or was not mapped. Weights beside
/// the engines are the same where they are mapped from the same regions.
bool same_bytes(const PayloadKey& loaded, PayloadKey& own, const uint8_t* data);

/// Held while an engine of this size and kind is opened or shared, so that two loads of one file at the same time make
/// one engine. Others load meanwhile.
std::shared_ptr<std::mutex> opening(const PayloadKey& key);

}  // namespace torchtrt_ws
