#include "engine/tensorrt/profiles.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

int64_t elements_of(const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size == 0) return 0;  // whatever the others are
    if (elements != kMost && __builtin_mul_overflow(elements, size, &elements)) elements = kMost;
  }
  return elements;
}

int64_t largest_elements(const std::vector<Bounds>& inputs) {
  int64_t sum = 0;
  for (const Bounds& input : inputs) {
    if (__builtin_add_overflow(sum, elements_of(input.max), &sum)) return kMost;
  }
  return sum;
}

bool is_within(const Shape& shape, const Bounds& bounds) {
  if (shape.rank != bounds.min.size()) return false;
  for (size_t i = 0; i < shape.rank; ++i) {
    if (shape.sizes[i] < bounds.min[i] || shape.sizes[i] > bounds.max[i]) return false;
  }
  return true;
}

/// "'x' [1..4, 2]"
template <typename Size>
void append_shape(std::string& text, const std::string& name, const Size* min, const Size* max, size_t rank) {
  text += (text.empty() || text.back() == ' ' ? "" : ", ") + in_quotes(name) + " [";
  for (size_t i = 0; i < rank; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(min[i]);
    if (max[i] != min[i]) text += ".." + std::to_string(max[i]);
  }
  text += ']';
}

}  // namespace

Profiles::Profiles(std::vector<std::string> names, std::vector<std::vector<Bounds>> bounds)
    : names_(std::move(names)), bounds_(std::move(bounds)) {
  for (const std::vector<Bounds>& inputs : bounds_) elements_.push_back(largest_elements(inputs));
}

Bounds Profiles::hull(size_t input) const {
  Bounds hull = bounds_[0][input];
  for (size_t profile = 1; profile < count(); ++profile) {
    const Bounds& other = bounds(profile, input);
    for (size_t i = 0; i < hull.min.size(); ++i) {
      hull.min[i] = std::min(hull.min[i], other.min[i]);
      hull.max[i] = std::max(hull.max[i], other.max[i]);
    }
  }
  return hull;
}

bool Profiles::holds(size_t profile, const std::vector<Shape>& shapes) const noexcept {
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (!is_within(shapes[i], bounds_[profile][i])) return false;
  }
  return true;
}

Result<size_t> Profiles::choose(const std::string& subject, const std::vector<Shape>& shapes,
                                std::optional<size_t> in_force) const {
  std::optional<size_t> best;
  for (size_t profile = 0; profile < count(); ++profile) {
    if (!holds(profile, shapes)) continue;
    const bool tighter = !best || elements_[profile] < elements_[*best];
    const bool stays = best && elements_[profile] == elements_[*best] && profile == in_force;
    if (tighter || stays) best = profile;
  }
  if (!best) return held_by_none(subject, shapes);
  return *best;
}

Failure Profiles::held_by_none(const std::string& subject, const std::vector<Shape>& shapes) const {
  std::string found = "inputs ";
  for (size_t i = 0; i < shapes.size(); ++i) {
    append_shape(found, names_[i], shapes[i].sizes, shapes[i].sizes, shapes[i].rank);
  }
  std::string expected = "shapes that one of its optimization profiles holds";
  for (size_t profile = 0; profile < count(); ++profile) {
    expected += (profile == 0 ? ": " : "; ") + std::to_string(profile) + ": ";
    for (size_t i = 0; i < names_.size(); ++i) {
      const Bounds& each = bounds(profile, i);
      append_shape(expected, names_[i], each.min.data(), each.max.data(), each.min.size());
    }
  }
  return {ErrorCode::BadArgument, subject, std::move(found), std::move(expected),
          "Pass such shapes, or build the engine with a profile for these"};
}

}  // namespace torchtrt_ws::tensorrt
