#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws::tensorrt {

/// The smallest and the largest shape of one tensor; of one rank.
struct Bounds {
  std::vector<int64_t> min;
  std::vector<int64_t> max;
};

/// The shape of one tensor of a call; its sizes are the caller's.
struct Shape {
  const int32_t* sizes;
  size_t rank;
};

/// The optimization profiles of a plan: for each, the shapes of the inputs that it was built for. Pure: TensorRT is
/// asked in io.cpp, and told in execution.cpp.
class Profiles {
 public:
  Profiles() = default;

  /// `names`: of the plan's inputs. `bounds`: for each profile, those of each input. Both in the order of the
  /// delegate's arguments.
  Profiles(std::vector<std::string> names, std::vector<std::vector<Bounds>> bounds);

  size_t count() const noexcept { return bounds_.size(); }
  const Bounds& bounds(size_t profile, size_t input) const noexcept { return bounds_[profile][input]; }

  /// What an input may be in one profile or another. Not every shape in it is in a profile.
  Bounds hull(size_t input) const;

  /// The profile to run `shapes` in, one for each input: the tightest that holds them all, which is the one with the
  /// fewest elements in its largest inputs. Among equally tight ones it is `in_force`, where it is one of them, since a
  /// switch costs; else the first. Fails with BadArgument, about `subject`.
  Result<size_t> choose(const std::string& subject, const std::vector<Shape>& shapes,
                        std::optional<size_t> in_force) const;

 private:
  bool holds(size_t profile, const std::vector<Shape>& shapes) const noexcept;
  Failure held_by_none(const std::string& subject, const std::vector<Shape>& shapes) const;

  std::vector<std::string> names_;
  std::vector<std::vector<Bounds>> bounds_;
  std::vector<int64_t> elements_;  // of each profile's largest inputs; 2^63-1: that many or more
};

}  // namespace torchtrt_ws::tensorrt
