#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dualscape {

/// A 64-bit checksum of bytes that come in pieces: 8 bytes at a time are mixed into the state by a bijection
/// of either, so that any one changed word of 8 bytes changes the value for certain, and other changes but
/// for a chance of 2^-64. Against accidents, not against intent. The value does not depend on how the bytes
/// are cut into pieces.
class Hash {
 public:
  void add(std::span<const std::byte> bytes);
  template <class T>
  void add_values(std::span<const T> values) {
    add(std::as_bytes(values));
  }
  std::uint64_t value() const;

 private:
  void mix(std::uint64_t word);

  std::uint64_t state_ = 0x9E3779B97F4A7C15;
  std::uint64_t length_ = 0;
  std::byte pending_[8] = {};  ///< the last length_ % 8 bytes
};

}  // namespace dualscape
