#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

/// A plan of the stand-in, written in C++ for tests that have no Python. plan.py documents the format.
struct PlanText {
  std::string io =
      "input x float32 1,4 8,4 8,4\n"
      "output y float32 affine 1.0 2.0*x\n";
  bool rtx = false;
  std::array<uint8_t, 4> version = {};  // zeros: the library's own
  int compute = 90;
  bool streaming = true;
  int64_t streamable = 64 << 20, resident = 1 << 20, scratch = 8 << 20, context = 4 << 20;
  std::string extra;   // more lines, such as "capturable 0\n"
  size_t weights = 0;  // bytes that the plan carries
};

inline uint32_t plan_crc(const std::vector<uint8_t>& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
  }
  return ~crc;
}

/// `library_version`: what to write where `plan.version` is zeros.
inline std::vector<uint8_t> write_plan(const PlanText& plan, std::array<uint8_t, 4> library_version) {
  std::string text = plan.compute == 0 ? "" : "compute " + std::to_string(plan.compute) + "\n";
  text += "platform linux_x86_64\nstreaming " + std::to_string(plan.streaming) + "\nstreamable " +
          std::to_string(plan.streamable) + "\nresident " + std::to_string(plan.resident) + "\nscratch " +
          std::to_string(plan.scratch) + "\ncontext " + std::to_string(plan.context) + "\n" + plan.extra + plan.io;
  std::vector<uint8_t> bytes(32 + text.size() + plan.weights);
  const uint64_t size = bytes.size() + 4;
  const auto text_size = static_cast<uint32_t>(text.size());
  const auto version = plan.version == std::array<uint8_t, 4>{} ? library_version : plan.version;
  std::memcpy(bytes.data(), plan.rtx ? "vtrtSTANDIN-PLAN" : "ftrtSTANDIN-PLAN", 16);
  std::memcpy(bytes.data() + 16, &size, 8);
  std::memcpy(bytes.data() + 24, version.data(), 4);
  std::memcpy(bytes.data() + 28, &text_size, 4);
  std::memcpy(bytes.data() + 32, text.data(), text.size());
  for (size_t i = 0; i < plan.weights; ++i) bytes[32 + text.size() + i] = static_cast<uint8_t>(i * 31 >> 3);
  const uint32_t crc = plan_crc(bytes);
  const auto* crc_bytes = reinterpret_cast<const uint8_t*>(&crc);
  bytes.insert(bytes.end(), crc_bytes, crc_bytes + 4);
  return bytes;
}
