// Acceptance: a plan without weights gets them from a file, and is then the plan that was built with them; and one that
// was built for other weights takes them while it is loaded.
//
// On a GPU: TORCHTRT_WS_TEST_STRIPPED names a folder that tests/gpu/refit_plans.py wrote. It prints a line of JSON with
// the seconds and the host memory that loads took.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "../../standin/plan_writer.h"
#include "acceptance.h"
#include "weights_support.h"

namespace torchtrt_ws::testing {
namespace {

/// A file, mapped as a program is: what has read it gives its pages back.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat info{};
    EXPECT_EQ(fstat(file_, &info), 0) << path;
    size_ = static_cast<size_t>(info.st_size);
    data_ = static_cast<uint8_t*>(mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_, 0));
    EXPECT_NE(data_, MAP_FAILED) << path;
  }
  ~MappedFile() {
    munmap(data_, size_);
    close(file_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] const uint8_t* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] Payload payload() const { return {data_, size_, nullptr}; }

  /// The file is not in memory afterwards, as far as the system follows advice.
  void make_cold() const {
    madvise(data_, size_, MADV_DONTNEED);
    (void)fdatasync(file_);
    (void)posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED);
  }

 private:
  int file_;
  size_t size_ = 0;
  uint8_t* data_ = nullptr;
};

/// A file of weights, as ExecuTorch maps a companion: each weight under its name as key.
class MappedWeights final : public WeightsSource {
 public:
  MappedWeights(const std::string& path, SeparateWeights listed, const std::vector<size_t>& offsets)
      : listed_(std::move(listed)), file_(path) {
    for (size_t i = 0; i < offsets.size(); ++i) {
      WeightFacts& facts = listed_.tensors[i];
      EXPECT_LE(offsets[i] + static_cast<size_t>(facts.bytes), file_.size());
      Crc32c crc;
      crc.update(file_.data() + offsets[i], static_cast<size_t>(facts.bytes));
      facts.crc32c = crc.value();
      at_[facts.key] = {offsets[i], static_cast<size_t>(facts.bytes)};
    }
  }

  [[nodiscard]] Result<Payload> find(const std::string& key, const std::string& weight) const override {
    const auto found = at_.find(key);
    if (found != at_.end()) return Payload(file_.data() + found->second.first, found->second.second, nullptr);
    return Failure{ErrorCode::BadEngine, weight, "no such weight in the data files", "its bytes", "Load them"};
  }

  [[nodiscard]] const MappedFile& file() const { return file_; }
  SeparateWeights listed_;
  std::map<std::string, std::pair<size_t, size_t>> at_;

 private:
  MappedFile file_;
};

struct Case {
  std::unique_ptr<MappedFile> stripped, full;
  std::unique_ptr<MappedFile> refittable;  // null: there is none
  std::vector<Binding> bindings;           // of static shapes
  std::unique_ptr<MappedWeights> weights;
};

/// Lines of `weights.txt`: "input NAME DTYPE 16,1024", "output ...", "weight NAME DTYPE COUNT OFFSET BYTES".
Case read_case(const std::string& folder) {
  const std::string refittable = folder + "/refittable.plan";
  Case read{std::make_unique<MappedFile>(folder + "/stripped.plan"),
            std::make_unique<MappedFile>(folder + "/full.plan"),
            access(refittable.c_str(), R_OK) == 0 ? std::make_unique<MappedFile>(refittable) : nullptr,
            {},
            nullptr};
  SeparateWeights listed;
  std::vector<size_t> offsets;
  std::ifstream lines(folder + "/weights.txt");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key, name, dtype, shape, size;
    words >> key >> name >> dtype;
    if (key == "weight") {
      WeightFacts facts{name, name, dtype, 0, 0, 0, std::string(64, '0'), std::nullopt};
      size_t offset = 0;
      words >> facts.count >> offset >> facts.bytes;
      listed.tensors.push_back(facts);
      offsets.push_back(offset);
      continue;
    }
    Binding binding{name, dtype, {}, key == "input"};
    words >> shape;
    for (std::istringstream sizes(shape); std::getline(sizes, size, ',');) binding.shape.push_back(std::stoll(size));
    read.bindings.push_back(binding);
  }
  listed.file = "weights.bin";
  read.weights = std::make_unique<MappedWeights>(folder + "/weights.bin", std::move(listed), offsets);
  return read;
}

/// The same of the stand-in: y = 2 * x + 1.
Case write_case() {
  const std::string folder = ::testing::TempDir() + "refit-" + std::to_string(getpid());
  EXPECT_TRUE(mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) << folder;
  const auto write = [&](const std::string& name, const void* data, size_t size) {
    std::ofstream(folder + "/" + name, std::ios::binary)
        .write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  };
  constexpr size_t kCount = 128;  // elements of each weight: a plan with them must not look as if it had none
  std::vector<float> scale(kCount), offset(kCount);
  scale[0] = 2;
  offset[0] = 1;
  const std::string count = std::to_string(kCount), bytes = std::to_string(4 * kCount);
  PlanText text;
  text.rtx = is_rtx();
  text.streamable = static_cast<int64_t>(2 * sizeof(float) * kCount);
  text.io =
      "input x float32 8,4 8,4 8,4\n"
      "output y float32 affine 0 1*x scale scale offset offset\n";
  text.extra = "refittable 1\nweight scale float32 " + count + "\nweight offset float32 " + count + "\n";
  auto plan = write_plan(text, standin_version(is_rtx()));
  write("stripped.plan", plan.data(), plan.size());
  const std::string zeros(8 * (kCount - 1), '0');  // hexadecimal digits
  text.extra = "weight scale float32 " + count + " 00000040" + zeros + "\nweight offset float32 " + count +
               " 0000803f" + zeros + "\n";
  plan = write_plan(text, standin_version(is_rtx()));
  write("full.plan", plan.data(), plan.size());
  text.extra = "refittable 2\n" + text.extra;
  plan = write_plan(text, standin_version(is_rtx()));
  write("refittable.plan", plan.data(), plan.size());
  scale.insert(scale.end(), offset.begin(), offset.end());
  write("weights.bin", scale.data(), scale.size() * sizeof(float));
  const std::string list = "input x float32 8,4\noutput y float32 8,4\nweight scale float32 " + count + " 0 " + bytes +
                           "\nweight offset float32 " + count + " " + bytes + " " + bytes + "\n";
  write("weights.txt", list.data(), list.size());
  return read_case(folder);
}

const Case& the_case() {
  static const Case read = [] {
    const char* folder = std::getenv("TORCHTRT_WS_TEST_STRIPPED");
    return folder == nullptr || *folder == '\0' ? write_case() : read_case(folder);
  }();
  return read;
}

int64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6));
  }
  return 0;
}

class Refit : public Acceptance {
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    char root[] = "/tmp/acceptance_refit_test.XXXXXX";
    ASSERT_NE(mkdtemp(root), nullptr);
    root_ = root;
    const bool other_plans = std::getenv("TORCHTRT_WS_TEST_PLAN") != nullptr;
    if (other_plans && std::getenv("TORCHTRT_WS_TEST_STRIPPED") == nullptr) {
      GTEST_SKIP() << "no folder of a plan without weights";
    }
  }

  void TearDown() override {
    std::filesystem::remove_all(root_);
    Acceptance::TearDown();
  }

  std::string cache_folder() const { return root_ + "/cache"; }

  static Result<std::unique_ptr<Engine>> open_stripped(const SeparateWeights& listed, const WeightsSource* source,
                                                       Verify verify = Verify::Checksum,
                                                       const std::string& cache = "off") {
    const Case& given = the_case();
    HeldWeights described;
    described.listed = listed;
    Metadata metadata = described.metadata(metadata_of(given.bindings));
    metadata.own->crc32c.reset();
    const std::string name = "forward";
    OpenRequest request{metadata, name, {}, GraphUse::Off, verify};
    request.weights = source;
    request.refit_cache = cache;
    return tensorrt_kind()(given.stripped->payload(), request);
  }

  static Result<std::unique_ptr<Engine>> open_stripped(const std::string& cache = "off") {
    return open_stripped(the_case().weights->listed_, the_case().weights.get(), Verify::Checksum, cache);
  }

  /// A plan as a whole one.
  static Result<std::unique_ptr<Engine>> open_whole(const MappedFile& plan) {
    const Metadata metadata = metadata_of(the_case().bindings);
    const std::string name = "forward";
    return tensorrt_kind()(plan.payload(), {metadata, name, {}});
  }

  /// What the engine says with that share of its weights on the device.
  static std::vector<std::vector<uint8_t>> answer(Engine& engine, int percent) {
    engine.drop_context();
    EXPECT_TRUE(is_ok(engine.set_budget(engine.streamable_bytes() / 100 * percent)));
    return answer(engine);
  }

  /// The same with the budget that it has.
  static std::vector<std::vector<uint8_t>> answer(Engine& engine) {
    EXPECT_TRUE(is_ok(engine.make_context()));
    std::vector<Tensor> inputs, outputs;
    for (const TensorSpec& spec : engine.inputs()) inputs.push_back(filled(spec));
    for (const TensorSpec& spec : engine.outputs()) outputs.emplace_back(spec.dtype, sizes_of(spec));
    std::vector<TensorView> views;
    for (const Tensor& each : inputs) views.push_back(each.view());
    std::vector<Tensor*> results;
    for (Tensor& each : outputs) results.push_back(&each);
    Sink sink(results);
    EXPECT_TRUE(is_ok(engine.run(views, sink)));
    std::vector<std::vector<uint8_t>> said;
    for (const Tensor& each : outputs) said.push_back(each.get<uint8_t>());
    return said;
  }

  static std::vector<SizesType> sizes_of(const TensorSpec& spec) { return {spec.max.begin(), spec.max.end()}; }

  static Tensor filled(const TensorSpec& spec) {
    Tensor x(spec.dtype, sizes_of(spec));
    const size_t count = x.nbytes() / bytes_of(spec.dtype);
    if (spec.dtype == ScalarType::Half) {
      std::vector<uint16_t> values(count);
      for (size_t i = 0; i < count; ++i) values[i] = static_cast<uint16_t>(0x3800 + i * 37 % 0x400);
      x.put(values);
    } else if (spec.dtype == ScalarType::Long) {
      std::vector<int64_t> values(count);
      for (size_t i = 0; i < count; ++i) values[i] = static_cast<int64_t>(i % 2);  // a token, a position, a mask
      x.put(values);
    } else {
      std::vector<float> values(count);
      for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 17) / 8;
      x.put(values);
    }
    return x;
  }

  std::string root_;

  template <typename Load>
  static double seconds(const Load& load) {
    const auto start = std::chrono::steady_clock::now();
    load();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

TEST_F(Refit, TheAnswerIsThatOfTheWholePlanToTheBitAtEveryBudget) {
  auto full = open_whole(*the_case().full);
  ASSERT_TRUE(is_ok(full));
  auto refitted = open_stripped();
  ASSERT_TRUE(is_ok(refitted));
  EXPECT_EQ(refitted.value()->streamable_bytes(), full.value()->streamable_bytes());
  for (const int percent : {0, 50, 100}) {  // up: weights that leave the device take seconds to
    const auto wanted = answer(*full.value(), percent);
    EXPECT_EQ(answer(*refitted.value(), percent), wanted) << percent;
    EXPECT_NE(wanted.front(), std::vector<uint8_t>(wanted.front().size())) << "zeros prove nothing";
  }
}

TEST_F(Refit, TheAnswerFromTheCacheIsThatOfTheWholePlanToTheBit) {
  auto full = open_whole(*the_case().full);
  ASSERT_TRUE(is_ok(full));
  const auto wanted = answer(*full.value(), 50);
  full.value().reset();
  for (const uint64_t hits : {uint64_t{0}, uint64_t{1}}) {
    auto opened = open_stripped(cache_folder());
    ASSERT_TRUE(is_ok(opened));
    EXPECT_EQ(opened.value()->counters().cache_hits, hits);
    EXPECT_EQ(answer(*opened.value(), 50), wanted);
  }
}

TEST_F(Refit, NothingRunsOnWeightsThatAreWrong) {
  const MappedWeights& good = *the_case().weights;
  failed_with(open_stripped(good.listed_, nullptr), ErrorCode::BadEngine);
  SeparateWeights listed = good.listed_;
  const std::string last = listed.tensors.back().name;
  listed.tensors.back().crc32c ^= 1;
  EXPECT_NE(failed_with(open_stripped(listed, &good), ErrorCode::BadEngine).find(last), std::string::npos) << "changed";
  listed = good.listed_;
  listed.tensors.back().key = "other";
  EXPECT_NE(failed_with(open_stripped(listed, &good), ErrorCode::BadEngine).find(last), std::string::npos)
      << "not there";
  listed = good.listed_;
  listed.tensors.back().name = "other";
  failed_with(open_stripped(listed, &good), ErrorCode::BadEngine);
  listed = good.listed_;
  listed.tensors.pop_back();
  if (listed.tensors.empty()) return;
  EXPECT_NE(failed_with(open_stripped(listed, &good), ErrorCode::BadEngine).find(last), std::string::npos)
      << "not listed";
  listed = good.listed_;
  listed.tensors.back().dtype = listed.tensors.back().dtype == "int32" ? "float32" : "int32";
  failed_with(open_stripped(listed, &good), ErrorCode::BadEngine);
}

/// TensorRT refits such a plan with nothing and runs it, and the answers are garbage.
TEST_F(Refit, APlanWithoutItsWeightsIsRefusedWhereNoListSaysWhereTheyAre) {
  const std::string words = failed_with(open_whole(*the_case().stripped), ErrorCode::BadEngine);
  EXPECT_NE(words.find("it was stripped of them"), std::string::npos) << words;
}

/// Two weights of the file that are of one size: the second in both places, or each in its own (`back`). Exchanged they
/// would be the same product where they commute, as those of plans.py do.
std::vector<NewWeight> doubled(bool back) {
  const auto& listed = the_case().weights->listed_.tensors;
  for (size_t i = 0; i < listed.size(); ++i) {
    for (size_t j = i + 1; j < listed.size(); ++j) {
      if (listed[i].dtype != listed[j].dtype || listed[i].count != listed[j].count) continue;
      std::vector<NewWeight> weights;
      for (const size_t at : {i, j}) {
        const WeightFacts& place = listed[at];
        const auto bytes = the_case().weights->find(listed[back ? at : j].key, place.name);
        EXPECT_TRUE(is_ok(bytes));
        weights.push_back({place.name, place.dtype, place.count, bytes.value().data(), place.bytes});
      }
      return weights;
    }
  }
  ADD_FAILURE() << "no two weights of one size";
  return {};
}

TEST_F(Refit, AnEngineThatWasBuiltForOtherWeightsTakesThemAtEveryBudget) {
  if (the_case().refittable == nullptr) GTEST_SKIP() << "no refittable.plan";
  auto opened = open_whole(*the_case().refittable);
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  ASSERT_TRUE(engine.refittable());
  const auto takes = engine.refittable_weights();
  ASSERT_TRUE(is_ok(takes));
  EXPECT_EQ(takes.value().size(), the_case().weights->listed_.tensors.size());
  std::vector<std::vector<uint8_t>> others;
  for (const int percent : {100, 50, 0}) {
    const auto own = answer(engine, percent);
    const int64_t budget = engine.budget();
    engine.drop_context();
    ASSERT_TRUE(is_ok(engine.refit(doubled(false))));
    EXPECT_EQ(engine.budget(), budget);
    const auto changed = answer(engine);
    EXPECT_NE(changed, own) << percent;
    if (others.empty()) others = changed;
    EXPECT_EQ(changed, others) << percent;
    engine.drop_context();
    ASSERT_TRUE(is_ok(engine.refit(doubled(true))));
    EXPECT_EQ(answer(engine), own) << percent;
  }
}

TEST_F(Refit, OneOfTheWeightsChangesAlone) {
  if (the_case().refittable == nullptr) GTEST_SKIP() << "no refittable.plan";
  auto opened = open_whole(*the_case().refittable);
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  const auto own = answer(engine, 50);
  engine.drop_context();
  ASSERT_TRUE(is_ok(engine.refit({doubled(false)[0]})));
  EXPECT_NE(answer(engine), own);
  engine.drop_context();
  ASSERT_TRUE(is_ok(engine.refit({doubled(true)[0]})));
  EXPECT_EQ(answer(engine), own);
}

TEST_F(Refit, AnEngineOfRefitIdenticalTakesNoOthers) {
  auto opened = open_stripped();
  ASSERT_TRUE(is_ok(opened));
  const auto own = answer(*opened.value(), 50);
  EXPECT_FALSE(opened.value()->refittable());
  opened.value()->drop_context();
  failed_with(opened.value()->refit(doubled(false)), ErrorCode::NotSupported);
  EXPECT_EQ(answer(*opened.value()), own);
}

TEST_F(Refit, TellsWhatLoadsTake) {
  const MappedWeights& weights = *the_case().weights;
  std::ostringstream json;
  json << "{\"refit\": {\"stripped_bytes\": " << the_case().stripped->size()
       << ", \"full_bytes\": " << the_case().full->size() << ", \"weights_bytes\": " << weights.file().size();
  const auto measure = [&](const char* what, const std::function<Result<std::unique_ptr<Engine>>()>& load) {
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
    const int64_t before = peak_kib();
    std::unique_ptr<Engine> engine;
    const double took = seconds([&] {
      auto opened = load();
      ASSERT_TRUE(is_ok(opened));
      engine = std::move(opened).value();
    });
    json << ", \"" << what << "\": {\"seconds\": " << took << ", \"host_peak_bytes\": " << (peak_kib() - before) * 1024
         << "}";
  };
  for (int again = 0; again < 2; ++again) {  // the first one starts CUDA
    const std::string suffix = again == 0 ? "_first" : "";
    measure(("full_warm" + suffix).c_str(), [] { return open_whole(*the_case().full); });
    measure(("stripped_warm" + suffix).c_str(), [] { return open_stripped(); });
  }
  measure("stripped_warm_unverified", [&] { return open_stripped(weights.listed_, &weights, Verify::Off); });
  weights.file().make_cold();
  measure("stripped_cold", [] { return open_stripped(); });
  the_case().full->make_cold();
  measure("full_cold", [] { return open_whole(*the_case().full); });
  std::filesystem::remove_all(root_ + "/cache");
  measure("cache_filled", [&] { return open_stripped(cache_folder()); });
  measure("cache_warm", [&] { return open_stripped(cache_folder()); });
  std::cout << json.str() << "}}\n";
}

}  // namespace
}  // namespace torchtrt_ws::testing
