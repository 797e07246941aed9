#include "dualscape/base/random.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace dualscape {

Random::Random(std::uint64_t seed, Stream stream, std::uint32_t substream)
    : seed_(seed), stream_(static_cast<std::uint32_t>(stream)), substream_(substream) {}

std::uint64_t Random::bits(std::uint64_t index) const {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const r123::Philox4x32::ctr_type counter = {{low(index), high(index), stream_, substream_}};
  const r123::Philox4x32::key_type key = {{low(seed_), high(seed_)}};
  const auto random = r123::Philox4x32()(counter, key);
  return (static_cast<std::uint64_t>(random[1]) << 32) | random[0];
}

double Random::uniform(std::uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1p-53;
}

double Random::normal(std::uint64_t index) const {
  // 1 - u is in (0, 1], so that the logarithm is finite.
  const double u = 1.0 - uniform(2 * index);
  const double v = uniform(2 * index + 1);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

std::uint64_t Random::below(std::uint64_t index, std::uint64_t bound) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(bits(index)) * bound) >> 64);
}

std::vector<Index> Random::permutation(Index n, std::uint64_t first) const {
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::uint64_t i = 0; i + 1 < order.size(); ++i)
    std::swap(order[i], order[i + below(first + i, order.size() - i)]);
  return order;
}

}  // namespace dualscape
