#pragma once

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace torchtrt_ws::testing {

/// The bytes of a file below tests/.
inline std::string read_file(const std::string& name) {
  std::ifstream file(std::string(TORCHTRT_WS_TESTS_DIR) + "/" + name, std::ios::binary);
  if (!file) throw std::runtime_error("tests/" + name + " cannot be read");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// A JSON table below tests/, which Python's tests may read too.
inline nlohmann::json read_table(const std::string& name) { return nlohmann::json::parse(read_file(name)); }

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace torchtrt_ws::testing
