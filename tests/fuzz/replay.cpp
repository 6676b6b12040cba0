// Drives one fuzz target without libFuzzer, so that any compiler does: over files, and over the same mutants of them
// each time. Names the input before it ends when a promise is broken.
//
//   replay_blob MUTANTS FILE_OR_FOLDER...
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<uint8_t>;  // of the exact size, so that AddressSanitizer sees a read behind it

std::string current;

void run(const std::string& name, const Bytes& input) {
  current = name;
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

/// One change of libFuzzer's kind; `random` decides which, and where.
Bytes changed(Bytes input, std::mt19937& random) {
  constexpr uint8_t kValues[] = {0, 0xff, 0x7f, 0x80, '0', '9', '"', '{', '[', '\t', '\n', '-'};
  const std::size_t at = input.empty() ? 0 : random() % input.size();
  const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
  switch (input.empty() ? 3 : random() % 6) {
    case 0:
      input[at] = static_cast<uint8_t>(input[at] ^ (1u << random() % 8));
      break;
    case 1:
      input[at] = kValues[random() % std::size(kValues)];
      break;
    case 2:
      input.erase(place, input.end());
      break;
    case 3:
      input.insert(place, kValues[random() % std::size(kValues)]);
      break;
    case 4:
      input.erase(place);
      break;
    default: {
      const Bytes copy(place, input.begin() + static_cast<std::ptrdiff_t>(std::min(input.size(), at + random() % 64)));
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(random() % input.size()), copy.begin(), copy.end());
    }
  }
  return input;
}

std::vector<std::filesystem::path> files_in(const char* argument) {
  if (!std::filesystem::is_directory(argument)) return {argument};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argument)) {
    if (entry.is_regular_file() && entry.path().extension() != ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s MUTANTS FILE_OR_FOLDER...\n", argv[0]);
    return 2;
  }
  std::signal(SIGABRT, [](int) {
    std::fprintf(stderr, "fuzz: input %s\n", current.c_str());
    std::_Exit(1);
  });
  const int mutants = std::atoi(argv[1]);
  std::size_t inputs = 0;
  for (int i = 2; i < argc; ++i) {
    for (const auto& path : files_in(argv[i])) {
      std::ifstream file(path, std::ios::binary);
      const Bytes input(std::istreambuf_iterator<char>(file), {});
      run(path.string(), input);
      std::mt19937 random(0);  // NOLINT(bugprone-random-generator-seed): the same mutants each time
      Bytes mutant = input;
      for (int number = 0; number < mutants; ++number) {
        mutant = changed(number % 8 == 0 ? input : mutant, random);
        run(path.string() + ", mutant " + std::to_string(number), mutant);
      }
      inputs += 1 + static_cast<std::size_t>(mutants);
    }
  }
  std::printf("%zu inputs\n", inputs);
  return inputs == 0 ? 1 : 0;
}
