// What TensorRT-RTX says of a plan's header, in words: each reason has a remedy, and none is a verdict.
#include "engine/tensorrt/validity_words.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace torchtrt_ws::tensorrt {
namespace {

TEST(Validity, ValidIsOk) {
  const CheckFact fact = validity_fact({kValid, 0});
  EXPECT_EQ(fact.verdict, Verdict::Ok);
  EXPECT_EQ(fact.remedy, "");
}

TEST(Validity, SuboptimalSaysWhatToBuild) {
  const CheckFact fact = validity_fact({kSuboptimal, 0});
  EXPECT_EQ(fact.verdict, Verdict::Advice);
  EXPECT_NE(fact.found.find("slower"), std::string::npos);
  EXPECT_NE(fact.remedy.find("Build it for this GPU"), std::string::npos);
}

TEST(Validity, EachReasonHasWordsAndARemedyOfItsOwn) {
  std::set<std::string> found, remedies;
  for (int bit = 0; bit < 7; ++bit) {
    const CheckFact fact = validity_fact({kInvalid, uint64_t{1} << bit});
    EXPECT_EQ(fact.verdict, Verdict::Advice) << bit;
    EXPECT_EQ(fact.found.find("diagnostics"), std::string::npos) << fact.found;
    found.insert(fact.found);
    remedies.insert(fact.remedy);
  }
  EXPECT_EQ(found.size(), 7u);
  EXPECT_EQ(remedies.size(), 7u);
  EXPECT_NE(validity_fact({kInvalid, kUnsupportedCc}).found.find("compute capability"), std::string::npos);
  EXPECT_NE(validity_fact({kInvalid, kOldCudaDriver}).remedy.find("Update the NVIDIA driver"), std::string::npos);
}

TEST(Validity, SeveralReasonsAndUnknownOnes) {
  const CheckFact both = validity_fact({kInvalid, kVersionMismatch | kOldCudaRuntime});
  EXPECT_NE(both.found.find("another version"), std::string::npos);
  EXPECT_NE(both.found.find("CUDA runtime is older"), std::string::npos);
  EXPECT_NE(validity_fact({kInvalid, 1 << 9}).found.find("diagnostics 512"), std::string::npos);
  EXPECT_NE(validity_fact({kInvalid, 0}).found.find("diagnostics 0"), std::string::npos);
}

}  // namespace
}  // namespace torchtrt_ws::tensorrt
