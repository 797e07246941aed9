#include "dualscape/base/hash.hpp"

#include <algorithm>
#include <cstring>

namespace dualscape {

void Hash::mix(std::uint64_t word) {
  // Odd factors and shifts onto itself are bijections of 64 bits.
  state_ = (state_ ^ word) * 0x9FB21C651E98DF25;
  state_ = (state_ ^ (state_ >> 29U)) * 0xD6E8FEB86659FD93;
  state_ ^= state_ >> 32U;
}

void Hash::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t used = length_ % 8;
    if (used == 0 && bytes.size() >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), 8);
      mix(word);
      length_ += 8;
      bytes = bytes.subspan(8);
      continue;
    }
    const std::size_t taken = std::min(8 - used, bytes.size());
    std::copy_n(bytes.begin(), taken, pending_ + used);
    length_ += taken;
    bytes = bytes.subspan(taken);
    if (used + taken < 8) continue;
    std::uint64_t word = 0;
    std::memcpy(&word, pending_, 8);
    mix(word);
  }
}

std::uint64_t Hash::value() const {
  Hash last = *this;
  std::uint64_t word = 0;
  std::memcpy(&word, pending_, length_ % 8);
  last.mix(word);
  last.mix(length_);
  return last.state_;
}

}  // namespace dualscape
