#include "engine/weights.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/file_mapping.h"
#include "base/pieces.h"
#include "base/quote.h"
#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

constexpr uint64_t kPiece = uint64_t{4} << 20;   // bytes that one thread takes at a time
constexpr uint64_t kLarge = uint64_t{16} << 20;  // bytes; less is read before other threads would have started

/// A part of one weight, and its checksum once somebody has read it.
struct Part {
  std::size_t weight;
  uint64_t from;
  uint64_t to;
  Crc32c crc;
};

std::string hex(uint32_t value) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", value);
  return text.data();
}

unsigned threads_for(uint64_t bytes) { return bytes < kLarge ? 1 : moving_threads(); }

/// The checksum of each weight.
std::vector<uint32_t> checksums_of(const Weights& weights) {
  std::vector<Part> parts;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto size = static_cast<uint64_t>(weights[i].facts.bytes);
    for (uint64_t from = 0; from < size; from += kPiece) parts.push_back({i, from, std::min(size, from + kPiece), {}});
  }
  for_each_piece(parts.size(), 1, threads_for(weights.bytes()), [&](uint64_t index, uint64_t) {
    Part& part = parts[static_cast<std::size_t>(index)];
    const uint8_t* const data = weights[part.weight].data;
    read_ahead(data, part.from, part.to);
    part.crc.update(data + part.from, static_cast<std::size_t>(part.to - part.from));
  });
  std::vector<Crc32c> whole(weights.size());
  for (const Part& part : parts) whole[part.weight].append(part.crc, part.to - part.from);
  std::vector<uint32_t> values;
  for (const Crc32c& crc : whole) values.push_back(crc.value());
  return values;
}

std::vector<std::string> digests_of(const Weights& weights) {
  std::vector<std::string> digests(weights.size());
  for_each_piece(weights.size(), 1, threads_for(weights.bytes()), [&](uint64_t index, uint64_t) {
    const auto at = static_cast<std::size_t>(index);
    digests[at] = sha256_hex(weights[at].data, static_cast<std::size_t>(weights[at].facts.bytes));
  });
  return digests;
}

void add(Sha256& sha, const WeightFacts& facts, const std::string& digest) {
  const std::string line = std::to_string(facts.name.size()) + ":" + facts.name + facts.dtype + digest + "\n";
  sha.update(line.data(), line.size());
}

}  // namespace

Failure bad_weight(const std::string& subject, const std::string& weight, const std::string& file, std::string found,
                   std::string expected) {
  return {ErrorCode::BadEngine, subject + ": weight " + in_quotes(weight) + " in " + in_quotes(file), std::move(found),
          std::move(expected), "Load the program with the data file that was saved with it, or save both again"};
}

Result<Weights> Weights::find(const std::string& subject, const SeparateWeights& listed, const WeightsSource* source) {
  if (source == nullptr) {
    return Failure{ErrorCode::BadEngine, subject,
                   "an engine without weights, and a program that was loaded without data files",
                   in_quotes(listed.file) + ", which was saved with the program",
                   "Put it beside the program, where torchtrt_ws.load finds it, or pass its path: data= in "
                   "Python, Module(program, {data file}) in C++"};
  }
  Weights weights(subject, listed);
  for (const WeightFacts& each : listed.tensors) {
    auto found = source->find(each.key, each.name);
    if (!found.ok()) {
      Failure missing =
          bad_weight(subject, each.name, listed.file, found.failure().found,
                     "its " + std::to_string(each.bytes) + " bytes, under the key " + in_quotes(each.key));
      missing.next_step =
          "Load the program with the file of that name that was saved with it: beside the program, where "
          "torchtrt_ws.load finds it, or data= in Python, Module(program, {data file}) in C++";
      return missing;
    }
    if (found.value().size() != static_cast<uint64_t>(each.bytes)) {
      return bad_weight(subject, each.name, listed.file, std::to_string(found.value().size()) + " bytes",
                        std::to_string(each.bytes) + ", as the program records");
    }
    if (__builtin_add_overflow(weights.bytes_, static_cast<uint64_t>(each.bytes), &weights.bytes_)) {
      return bad_weight(subject, each.name, listed.file, "more bytes than fit in 64 bits", "weights that a file holds");
    }
    weights.found_.push_back(std::move(found).value());
  }
  return weights;
}

Status Weights::compare(Verify verify) const {
  if (verify == Verify::Off) return ok_status();
  if (verify == Verify::Digest) {
    const std::vector<std::string> digests = digests_of(*this);
    for (std::size_t i = 0; i < size(); ++i) {
      const WeightFacts& facts = listed_->tensors[i];
      if (digests[i] == facts.sha256) continue;
      return bad_weight(subject_, facts.name, file(), "SHA-256 " + digests[i],
                        facts.sha256 + ", as the program records");
    }
    return ok_status();
  }
  const std::vector<uint32_t> checksums = checksums_of(*this);
  for (std::size_t i = 0; i < size(); ++i) {
    const WeightFacts& facts = listed_->tensors[i];
    if (checksums[i] == facts.crc32c) continue;
    return bad_weight(subject_, facts.name, file(), "CRC-32C " + hex(checksums[i]),
                      hex(facts.crc32c) + ", as the program records");
  }
  return ok_status();
}

std::string digest_of(const SeparateWeights& weights) {
  Sha256 sha;
  for (const WeightFacts& each : weights.tensors) add(sha, each, each.sha256);
  return sha.finish_hex();
}

std::string Weights::digest() const {
  const std::vector<std::string> digests = digests_of(*this);
  Sha256 sha;
  for (std::size_t i = 0; i < size(); ++i) add(sha, listed_->tensors[i], digests[i]);
  return sha.finish_hex();
}

}  // namespace torchtrt_ws
