#include "engine/tensorrt/refits.h"

#include <algorithm>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws::tensorrt {
namespace {

/// The first few, for a message.
std::string some_of(const std::set<std::string>& names) {
  std::string text;
  size_t shown = 0;
  for (const std::string& name : names) {
    if (shown++ == 3) return text + ", ...";
    text += (text.empty() ? "" : ", ") + in_quotes(name);
  }
  return text;
}

}  // namespace

Refits::Refits(std::string subject, Runtime& runtime, nvinfer1::ICudaEngine& engine, std::unique_ptr<FileWeights> own)
    : subject_(std::move(subject)),
      runtime_(runtime),
      engine_(engine),
      takes_(runtime.replaceable_weights(subject_, engine)),
      own_(std::move(own)) {}

Result<std::vector<RefittableWeight>> Refits::takes() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!takes_.ok() && takes_any()) takes_ = runtime_.replaceable_weights(subject_, engine_);
  return takes_;
}

Status Refits::check_whole() const {
  if (lost_.empty()) return ok_status();
  return Failure{ErrorCode::WrongState, subject_,
                 "weights that may not belong together: a refit failed, and what was there before is not known of " +
                     std::to_string(lost_.size()) + " of them (" + some_of(lost_) + ")",
                 "an engine with all weights of before or all new ones",
                 "Refit these again, together, or load the program again"};
}

const void* Refits::known(const std::string& name) const {
  if (lost_.count(name) != 0) return nullptr;
  const auto given = given_.find(name);
  if (given != given_.end()) return given->second->data();
  return own_ == nullptr ? nullptr : own_->find(name);
}

Status Refits::replace(const std::vector<Replacement>& weights, bool& began) {
  return runtime_.replace_weights(
      subject_, engine_, weights, [this](const std::string& name) { return known(name); }, began);
}

/// While some are lost, a refit brings them all.
Status Refits::check_lost(const std::vector<NewWeight>& weights) const {
  for (const std::string& name : lost_) {
    const auto same = [&](const NewWeight& each) { return each.name == name; };
    if (std::any_of(weights.begin(), weights.end(), same)) continue;
    Failure torn = check_whole().failure();
    torn.expected = "a refit that brings them all; " + in_quotes(name) + " is not among its weights";
    return torn;
  }
  return ok_status();
}

Result<UndoRefit> Refits::refit(const std::vector<NewWeight>& weights) {
  auto takes_them = takes();
  if (!takes_them.ok()) return std::move(takes_them).failure();
  Status all_lost = check_lost(weights);
  if (!all_lost.ok()) return std::move(all_lost).failure();
  Before before;
  std::map<std::string, Bytes> after = given_;
  std::vector<Replacement> replacements;
  std::set<std::string> torn = lost_;
  for (const NewWeight& each : weights) {
    const auto* const data = static_cast<const uint8_t*>(each.data);
    auto copy = std::make_shared<const std::vector<uint8_t>>(data, data + each.bytes);
    replacements.push_back({each.name, each.count, copy->data()});
    const auto given = given_.find(each.name);
    before[each.name] = {each.count, given == given_.end() ? nullptr : given->second};
    after[each.name] = std::move(copy);
    torn.insert(each.name);
  }
  const auto put_back_now = [this, before, lost_before = lost_] { return put_back(before, lost_before); };
  UndoRefit undo = put_back_now;  // no memory is taken once TensorRT has begun
  bool began = false;
  lost_.swap(torn);
  Status replaced = replace(replacements, began);
  if (replaced.ok()) {
    given_.swap(after);
    lost_.clear();  // it brought them all
    return undo;
  }
  Failure failure = std::move(replaced).failure();
  if (!began) {
    lost_.swap(torn);
    return failure;
  }
  Status restored = put_back_now();
  failure.found += "; " + (restored.ok() ? "the weights of before are back" : restored.failure().found);
  if (!restored.ok()) failure.next_step = restored.failure().next_step;
  return failure;
}

/// Of the weights that a refit replaced those that are known; the others are lost from now on.
Status Refits::put_back(const Before& before, const std::set<std::string>& lost_before) {
  std::vector<Replacement> replacements;
  std::map<std::string, Bytes> after = given_;
  for (const auto& [name, old] : before) {
    const auto& [count, bytes] = old;
    lost_.insert(name);
    after.erase(name);
    if (lost_before.count(name) != 0) continue;
    const void* const of_file = own_ == nullptr ? nullptr : own_->find(name);
    const void* const data = bytes != nullptr ? bytes->data() : of_file;
    if (data == nullptr) continue;
    replacements.push_back({name, count, data});
    if (bytes != nullptr) after[name] = bytes;
  }
  for (const auto& each : before) given_.erase(each.first);
  bool began = false;
  const Status replaced = replacements.empty() ? ok_status() : replace(replacements, began);
  if (replaced.ok()) {
    given_.swap(after);
    for (const Replacement& each : replacements) lost_.erase(each.name);
  }
  return check_whole();
}

}  // namespace torchtrt_ws::tensorrt
