#include "digest/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace torchtrt_ws {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected
using Table = std::array<std::uint32_t, 256>;

/// tables[k][b]: what byte b does to the register, k zero bytes later.
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ (state & 1 ? kPolynomial : 0);
    tables[0][byte] = state;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr std::array<Table, 8> kTables = make_tables();

std::uint64_t load(const unsigned char* data) noexcept {
  std::uint64_t word;
  std::memcpy(&word, data, sizeof(word));
  return word;
}

std::uint32_t by_table(std::uint32_t state, const unsigned char* data, std::size_t size) noexcept {
  for (; size >= 8; data += 8, size -= 8) {
    const std::uint64_t word = load(data) ^ state;
    state = 0;
    for (std::size_t k = 0; k < 8; ++k) state ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
  }
  for (; size > 0; ++data, --size) state = (state >> 8) ^ kTables[0][(state ^ *data) & 0xFF];
  return state;
}

/// a * b modulo the polynomial; reflected, so that the highest bit is x^0.
std::uint32_t product(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t sum = 0;
  for (std::uint32_t bit = std::uint32_t{1} << 31; bit != 0; bit >>= 1) {
    if (a & bit) sum ^= b;
    b = (b >> 1) ^ (b & 1 ? kPolynomial : 0);
  }
  return sum;
}

/// x^(8 bytes) modulo the polynomial: what zero bytes multiply a register by.
std::uint32_t power(std::uint64_t bytes) noexcept {
  std::uint32_t result = std::uint32_t{1} << 31;  // x^0
  std::uint32_t square = std::uint32_t{1} << 23;  // x^8
  for (; bytes != 0; bytes >>= 1, square = product(square, square)) {
    if (bytes & 1) result = product(result, square);
  }
  return result;
}

// What the processor's instruction makes of a register and 8 bytes, or one.
#if defined(__x86_64__)

#define TORCHTRT_WS_CRC32C_INSTRUCTION __attribute__((target("sse4.2")))

bool has_instruction() noexcept { return __builtin_cpu_supports("sse4.2"); }

TORCHTRT_WS_CRC32C_INSTRUCTION inline std::uint64_t with_word(std::uint64_t state, std::uint64_t word) noexcept {
  return _mm_crc32_u64(state, word);
}

TORCHTRT_WS_CRC32C_INSTRUCTION inline std::uint32_t with_byte(std::uint32_t state, unsigned char byte) noexcept {
  return _mm_crc32_u8(state, byte);
}

#elif defined(__aarch64__)

// In assembler: GCC and Clang name the target and the intrinsics differently.
#define TORCHTRT_WS_CRC32C_INSTRUCTION

bool has_instruction() noexcept {
  static const bool found = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
  return found;
}

inline std::uint64_t with_word(std::uint64_t state, std::uint64_t word) noexcept {
  asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(state) : "r"(word));
  return state;
}

inline std::uint32_t with_byte(std::uint32_t state, unsigned char byte) noexcept {
  asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(state) : "r"(std::uint32_t{byte}));
  return state;
}

#endif

#if defined(TORCHTRT_WS_CRC32C_INSTRUCTION)

// The instruction takes three cycles and a new one may start each cycle: three streams at once fill the pipe.
constexpr std::size_t kStream = 4096;  // bytes of each

/// What a register becomes `zeros` zero bytes later, for each of its four bytes.
std::array<Table, 4> make_shift(std::size_t zeros) {
  std::array<Table, 4> shift{};
  const std::uint32_t factor = power(zeros);
  for (std::size_t byte = 0; byte < 4; ++byte) {
    for (std::uint32_t value = 0; value < 256; ++value) shift[byte][value] = product(value << (8 * byte), factor);
  }
  return shift;
}

std::uint32_t shifted(const std::array<Table, 4>& shift, std::uint64_t state) noexcept {
  return shift[0][state & 0xFF] ^ shift[1][(state >> 8) & 0xFF] ^ shift[2][(state >> 16) & 0xFF] ^
         shift[3][(state >> 24) & 0xFF];
}

TORCHTRT_WS_CRC32C_INSTRUCTION std::uint32_t by_instruction(std::uint32_t state, const unsigned char* data,
                                                            std::size_t size) noexcept {
  static const std::array<Table, 4> shift = make_shift(kStream);
  std::uint64_t a = state;
  for (; size >= 3 * kStream; data += 3 * kStream, size -= 3 * kStream) {
    std::uint64_t b = 0, c = 0;
    for (std::size_t i = 0; i < kStream; i += 8) {
      a = with_word(a, load(data + i));
      b = with_word(b, load(data + kStream + i));
      c = with_word(c, load(data + 2 * kStream + i));
    }
    a = shifted(shift, shifted(shift, a) ^ b) ^ c;
  }
  for (; size >= 8; data += 8, size -= 8) a = with_word(a, load(data));
  auto rest = static_cast<std::uint32_t>(a);
  for (; size > 0; ++data, --size) rest = with_byte(rest, *data);
  return rest;
}

#endif

std::uint32_t extended(std::uint32_t state, const unsigned char* data, std::size_t size) noexcept {
#if defined(TORCHTRT_WS_CRC32C_INSTRUCTION)
  if (has_instruction()) return by_instruction(state, data, size);
#endif
  return by_table(state, data, size);
}

}  // namespace

void Crc32c::update(const void* data, std::size_t size) noexcept {
  state_ = extended(state_, static_cast<const unsigned char*>(data), size);
}

void Crc32c::append(const Crc32c& next, std::uint64_t size) noexcept {
  state_ = ~(product(power(size), value()) ^ next.value());
}

std::uint32_t crc32c_by_table(const void* data, std::size_t size) noexcept {
  return ~by_table(0xFFFFFFFF, static_cast<const unsigned char*>(data), size);
}

}  // namespace torchtrt_ws
