#include "program/flatbuffer.h"

#include <algorithm>
#include <utility>

#include "blob/header.h"

namespace torchtrt_ws::flatbuffer {
namespace {

constexpr uint64_t kVtableHeader = 2 * sizeof(uint16_t);  // its own size, and the table's

}  // namespace

void Buffer::fail(std::string why) {
  if (why_.empty()) why_ = std::move(why);
}

bool Buffer::has(uint64_t position, uint64_t size) {
  if (!failed() && wire::fits(position, size, size_)) return true;
  fail(std::to_string(size) + " bytes at " + std::to_string(position) + " in a flatbuffer of " + std::to_string(size_));
  return false;
}

void Buffer::spend(uint64_t work) {
  if (work <= work_left_) {
    work_left_ -= work;
    return;
  }
  work_left_ = 0;
  fail("more tables than a program has");
}

Table::Table(Buffer& buffer, uint64_t position) : buffer_(&buffer) {
  buffer.spend(1);
  const int64_t vtable = static_cast<int64_t>(position) - buffer.scalar<int32_t>(position);  // position: below 2^33
  if (vtable < 0) buffer.fail("a table whose fields are in front of the flatbuffer");
  if (buffer.failed()) return;
  const uint64_t vtable_size = buffer.scalar<uint16_t>(static_cast<uint64_t>(vtable));
  if (!buffer.has(static_cast<uint64_t>(vtable), std::max(vtable_size, kVtableHeader))) return;
  const uint64_t size = buffer.scalar<uint16_t>(static_cast<uint64_t>(vtable) + sizeof(uint16_t));
  if (!buffer.has(position, size)) return;
  position_ = position;
  size_ = size;
  vtable_ = static_cast<uint64_t>(vtable);
  vtable_size_ = vtable_size;
}

uint64_t Table::find(int field, uint64_t size) {
  const uint64_t entry = kVtableHeader + sizeof(uint16_t) * static_cast<uint64_t>(field);
  if (buffer_->failed() || entry + sizeof(uint16_t) > vtable_size_) return 0;
  const uint64_t offset = buffer_->scalar<uint16_t>(vtable_ + entry);
  if (offset == 0) return 0;
  if (offset + size <= size_) return position_ + offset;
  buffer_->fail("field " + std::to_string(field) + " at " + std::to_string(offset) + " in a table of " +
                std::to_string(size_) + " bytes");
  return 0;
}

Table Table::table(int field) {
  const uint64_t position = find(field, sizeof(uint32_t));
  if (position == 0) buffer_->fail("no field " + std::to_string(field));
  return {*buffer_, buffer_->failed() ? 0 : buffer_->follow(position)};
}

Vector Table::vector(int field, uint64_t item_size) {
  const uint64_t position = find(field, sizeof(uint32_t));
  if (position == 0) return {*buffer_, 0, 0, item_size};
  const uint64_t start = buffer_->follow(position);
  const uint64_t count = buffer_->scalar<uint32_t>(start);
  return {*buffer_, start + sizeof(uint32_t), count, item_size};
}

std::string_view Table::text(int field) { return vector(field, 1).bytes(); }

Vector::Vector(Buffer& buffer, uint64_t position, uint64_t count, uint64_t item_size)
    : buffer_(&buffer), position_(position), count_(count), item_size_(item_size) {
  if (!buffer.has(position, count * item_size)) count_ = 0;  // 2^32 items of a few bytes: no overflow
}

Table Vector::table(uint64_t index) {
  if (index >= count_) {
    buffer_->fail("index " + std::to_string(index) + " in a vector of " + std::to_string(count_));
    return {*buffer_, 0};
  }
  return {*buffer_, buffer_->follow(position_ + index * item_size_)};
}

std::string_view Vector::bytes() {
  const uint64_t size = count_ * item_size_;
  buffer_->spend(1 + size / 64);
  if (buffer_->failed()) return {};
  return {reinterpret_cast<const char*>(buffer_->data()) + position_, size};
}

}  // namespace torchtrt_ws::flatbuffer
