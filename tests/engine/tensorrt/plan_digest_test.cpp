#include "engine/tensorrt/plan_digest.h"

#include <gtest/gtest.h>

#include <vector>

namespace torchtrt_ws::tensorrt {
namespace {

Metadata recorded(bool crc32c) {
  Metadata metadata{};
  metadata.own.emplace();
  metadata.own->sha256 = std::string(64, 'a');
  if (crc32c) metadata.own->crc32c = 1;
  return metadata;
}

std::string of(const std::vector<uint8_t>& plan, const Metadata& metadata = {}, Verify verify = Verify::Checksum) {
  return plan_digest(plan.data(), plan.size(), metadata, verify);
}

TEST(PlanDigest, IsTheRecordedOneWhereTheLoadComparesTheBytes) {
  const std::vector<uint8_t> plan(1000, 1);
  EXPECT_EQ(of(plan, recorded(true)), std::string(64, 'a'));
  EXPECT_EQ(of(plan, recorded(false), Verify::Digest), std::string(64, 'a'));
  EXPECT_EQ(of(plan, recorded(false)), of(plan)) << "nothing was compared";
  EXPECT_EQ(of(plan, recorded(true), Verify::Off), of(plan));
  EXPECT_EQ(of(plan).size(), 64u);
}

TEST(PlanDigest, OfSamplesTellsSizesEndsAndPlacesInBetween) {
  const std::vector<uint8_t> plan(size_t{8} << 20, 1);
  for (const size_t at : {size_t{0}, (size_t{1} << 20) - 1, size_t{4} << 20, plan.size() - 1}) {
    std::vector<uint8_t> other = plan;
    other[at] = 2;
    EXPECT_NE(of(other), of(plan)) << at;
  }
  std::vector<uint8_t> longer = plan;
  longer.push_back(1);
  EXPECT_NE(of(longer), of(plan));
}

TEST(PlanDigest, OfPlansOfAnySize) {
  for (const size_t size : {0u, 1u, 255u, 256u, 257u, 4097u, 100000u}) {
    EXPECT_EQ(of(std::vector<uint8_t>(size, 1)), of(std::vector<uint8_t>(size, 1))) << size;
    EXPECT_NE(of(std::vector<uint8_t>(size, 1)), of(std::vector<uint8_t>(size + 1, 1))) << size;
  }
}

}  // namespace
}  // namespace torchtrt_ws::tensorrt
