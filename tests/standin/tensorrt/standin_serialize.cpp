#include <NvInferRuntime.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "../cuda/call.h"
#include "../cuda/memory.h"
#include "state.h"

// Serialization: an engine's plan with the weights that it has now, or without.
namespace standin {
namespace {

using nvinfer1::SerializationFlag;
using nvinfer1::SerializationFlags;

constexpr SerializationFlags bit(SerializationFlag flag) { return 1u << static_cast<uint32_t>(flag); }

class HostMemory final : public nvinfer1::apiv::VHostMemory {
 public:
  HostMemory(nvinfer1::IHostMemory&, std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {
    count_live("host_memory", 1);
  }
  ~HostMemory() noexcept override {
    auto guard = lock();
    count_live("host_memory", -1);
  }
  void* data() const noexcept override { return const_cast<uint8_t*>(bytes_.data()); }
  std::size_t size() const noexcept override { return bytes_.size(); }
  nvinfer1::DataType type() const noexcept override { return nvinfer1::DataType::kUINT8; }

 private:
  std::vector<uint8_t> bytes_;
};

class SerializationConfig;

std::map<const nvinfer1::ISerializationConfig*, const SerializationConfig*>& configs() {
  static std::map<const nvinfer1::ISerializationConfig*, const SerializationConfig*> all;
  return all;
}

class SerializationConfig final : public nvinfer1::apiv::VSerializationConfig {
 public:
  SerializationConfig(nvinfer1::ISerializationConfig& face, SerializationFlags flags) : face_(face), flags_(flags) {
    count_live("serialization_config", 1);
    configs()[&face_] = this;
  }
  ~SerializationConfig() noexcept override {
    auto guard = lock();
    configs().erase(&face_);
    count_live("serialization_config", -1);
  }
  bool setFlags(SerializationFlags flags) noexcept override {
    flags_ = flags;
    return true;
  }
  SerializationFlags getFlags() const noexcept override { return flags_; }
  bool clearFlag(SerializationFlag flag) noexcept override {
    flags_ &= ~bit(flag);
    return true;
  }
  bool setFlag(SerializationFlag flag) noexcept override {
    flags_ |= bit(flag);
    return true;
  }
  bool getFlag(SerializationFlag flag) const noexcept override { return (flags_ & bit(flag)) != 0; }

 private:
  nvinfer1::ISerializationConfig& face_;
  SerializationFlags flags_;
};

std::string to_hex(const std::vector<uint8_t>& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : bytes) hex += {kDigits[byte >> 4], kDigits[byte & 15]};
  return hex;
}

/// "weight NAME DTYPE COUNT", and its bytes where they are wanted.
std::string weight_line(const Plan& plan, std::istringstream& words, bool with_weights) {
  std::string name, dtype, count;
  words >> name >> dtype >> count;
  const Plan::Weight& weight = *plan.find_weight(name);
  const bool has = with_weights && !weight.bytes.empty();
  return "weight " + name + " " + dtype + " " + count + (has ? " " + to_hex(weight.bytes) : "");
}

bool was_built_without(const Plan& plan) {
  std::istringstream lines(plan.text);
  for (std::string line, key, name, dtype, count, bytes; std::getline(lines, line); bytes.clear()) {
    std::istringstream words(line);
    if (words >> key >> name >> dtype >> count && key == "weight" && !(words >> bytes)) return true;
  }
  return false;
}

}  // namespace

nvinfer1::ISerializationConfig* make_serialization_config(const EngineState& engine) {
  const SerializationFlags flags = was_built_without(engine.plan) ? bit(SerializationFlag::kEXCLUDE_WEIGHTS) : 0;
  return new Face<nvinfer1::ISerializationConfig, SerializationConfig>(flags);
}

nvinfer1::IHostMemory* serialize(const EngineState& engine, const nvinfer1::ISerializationConfig& config) {
  if (auto fault = enter_tensorrt("serializeWithConfig")) {
    log_error(*engine.runtime, "ICudaEngine::serializeWithConfig", fault_words(*fault));
    return nullptr;
  }
  const bool with_weights = !configs().at(&config)->getFlag(SerializationFlag::kEXCLUDE_WEIGHTS);
  std::istringstream lines(engine.plan.text);
  std::string text;
  for (std::string line, key; std::getline(lines, line);) {
    std::istringstream words(line);
    words >> key;
    text += (key == "weight" ? weight_line(engine.plan, words, with_weights) : line) + "\n";
  }
  return new Face<nvinfer1::IHostMemory, HostMemory>(write_plan(text));
}

}  // namespace standin
