#include "dualscape/base/hash.hpp"

#include <gtest/gtest.h>

#include <set>

namespace dualscape {
namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(i * i + 3));
  return bytes;
}

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  Hash hash;
  hash.add(bytes);
  return hash.value();
}

TEST(Hash, DoesNotDependOnThePieces) {
  const auto bytes = some_bytes(101);
  const std::uint64_t whole = hash_of(bytes);
  for (const std::size_t step : {1, 3, 8, 13, 100}) {
    Hash hash;
    for (std::size_t first = 0; first < bytes.size(); first += step)
      hash.add(std::span(bytes).subspan(first, std::min(step, bytes.size() - first)));
    EXPECT_EQ(hash.value(), whole) << step;
  }
}

TEST(Hash, TellsEveryChangeOfABitAndEveryLength) {
  std::set<std::uint64_t> seen;
  std::size_t made = 0;
  for (std::size_t length = 0; length < 40; ++length) {
    seen.insert(hash_of(std::vector<std::byte>(length)));
    ++made;
  }
  auto bytes = some_bytes(29);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    seen.insert(hash_of(bytes));
    ++made;
    bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
  EXPECT_EQ(seen.size(), made);
}

}  // namespace
}  // namespace dualscape
