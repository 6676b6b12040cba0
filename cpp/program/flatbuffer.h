#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace torchtrt_ws::flatbuffer {

/// A flatbuffer, and how much reading it may still cause: offsets may overlap, so that a small file can hold far more
/// tables than bytes. After the first failure everything reads as empty: readers need one check, at the end.
///
/// ExecuTorch's SDK has no schema's header, and what a .pte needs of the format fits here: tables, vectors, strings,
/// scalars. Source: https://flatbuffers.dev/internals, "Tables" and "Vectors". The Python twin is
/// torchtrt_ws/pte/flatbuffer.py.
class Buffer {
 public:
  /// `data` outlives this.
  Buffer(const uint8_t* data, uint64_t size) : data_(data), size_(size) {}

  bool failed() const { return !why_.empty(); }
  const std::string& why() const { return why_; }
  uint64_t size() const { return size_; }
  const uint8_t* data() const { return data_; }

  void fail(std::string why);

  /// Whether [position, position + size) is in the buffer; fails where it is not.
  bool has(uint64_t position, uint64_t size);

  /// Counts work, in tables or in 64 bytes that are copied.
  void spend(uint64_t work);

  template <typename T>
  T scalar(uint64_t position) {
    T value{};
    if (has(position, sizeof(T))) std::memcpy(&value, data_ + position, sizeof(T));
    return value;
  }

  /// Where the unsigned 32-bit offset at `position` leads.
  uint64_t follow(uint64_t position) { return position + scalar<uint32_t>(position); }

 private:
  const uint8_t* data_;
  uint64_t size_;
  uint64_t work_left_ = 1 << 18;  // as in Python: a program of 10,000 delegates needs a quarter of it
  std::string why_;
};

class Vector;

/// One table. A field is its place in the schema, from 0; a union takes two (its type, its value).
class Table {
 public:
  Table(Buffer& buffer, uint64_t position);

  /// Whether the field is there, not left at its default.
  bool has(int field) { return find(field, 1) != 0; }

  template <typename T>
  T scalar(int field) {
    const uint64_t position = find(field, sizeof(T));
    return position == 0 ? T{} : buffer_->scalar<T>(position);
  }

  /// The table that the field leads to; fails where there is none.
  Table table(int field);

  /// The vector of items of `item_size` bytes that the field leads to; an absent one is empty.
  Vector vector(int field, uint64_t item_size = sizeof(uint32_t));

  /// A string; empty if absent. It lies in the buffer.
  std::string_view text(int field);

 private:
  uint64_t find(int field, uint64_t size);  // its position; 0: absent

  Buffer* buffer_;
  uint64_t position_ = 0;
  uint64_t size_ = 0;
  uint64_t vtable_ = 0;
  uint64_t vtable_size_ = 0;
};

/// A vector whose whole extent lies in the buffer.
class Vector {
 public:
  Vector(Buffer& buffer, uint64_t position, uint64_t count, uint64_t item_size);

  uint64_t count() const { return count_; }
  uint64_t position() const { return position_; }  // of the first item, in the buffer

  /// The table that item `index` (an offset) leads to; fails where there is no such item.
  Table table(uint64_t index);

  /// Its bytes, where they lie.
  std::string_view bytes();

 private:
  Buffer* buffer_;
  uint64_t position_;
  uint64_t count_;
  uint64_t item_size_;
};

}  // namespace torchtrt_ws::flatbuffer
