#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "blob/verification.h"
#include "blob/weight_facts.h"
#include "engine/payload.h"
#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Where the weights of an engine lie that has none itself. Engines know the data files of a program only through this.
class TORCHTRT_WS_API WeightsSource {
 public:
  virtual ~WeightsSource() = default;

  /// The bytes under `key`, wherever they lie: no copy is made of a mapped file. `weight` is for messages.
  /// Fails with BadEngine where there are none.
  [[nodiscard]] virtual Result<Payload> find(const std::string& key, const std::string& weight) const = 0;
};

/// One weight, and its bytes where they lie in the companion file.
struct Weight {
  const WeightFacts& facts;
  const uint8_t* data;  ///< facts.bytes of them.
};

/// The weights of one engine, in the order of its metadata, readable while this lives. Move-only.
class Weights {
 public:
  /// Finds all of them and looks at their sizes; reads none. `listed` outlives this. `source`: null: the program was
  /// loaded without data files. Fails with BadEngine, which names the weight and the file. `subject` names the engine.
  [[nodiscard]] static Result<Weights> find(const std::string& subject, const SeparateWeights& listed,
                                            const WeightsSource* source);

  [[nodiscard]] std::size_t size() const noexcept { return found_.size(); }
  [[nodiscard]] Weight operator[](std::size_t index) const { return {listed_->tensors[index], found_[index].data()}; }
  [[nodiscard]] const std::string& file() const noexcept { return listed_->file; }
  [[nodiscard]] uint64_t bytes() const noexcept { return bytes_; }  ///< Of all of them.

  /// Reads them all, in several threads and ahead of the disk, and compares them with what the metadata records.
  /// Fails with BadEngine, which names the first weight that differs. Another thread may read them meanwhile.
  [[nodiscard]] Status compare(Verify verify) const;

  /// digest_of() of what the bytes are, and not of what is recorded of them. Reads them all.
  [[nodiscard]] std::string digest() const;

 private:
  Weights(std::string subject, const SeparateWeights& listed) : subject_(std::move(subject)), listed_(&listed) {}

  std::string subject_;
  const SeparateWeights* listed_;
  std::vector<Payload> found_;
  uint64_t bytes_ = 0;
};

/// A failure about one weight: every one names the engine, the weight and the file.
[[nodiscard]] Failure bad_weight(const std::string& subject, const std::string& weight, const std::string& file,
                                 std::string found, std::string expected);

/// What tells the weights of one engine from those of another with the same plan: a digest over their names and
/// recorded digests, as 64 lower-case hex digits.
[[nodiscard]] std::string digest_of(const SeparateWeights& weights);

}  // namespace torchtrt_ws
