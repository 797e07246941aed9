#pragma once

#include <cstdint>
#include <vector>

#include "dualscape/base/partition.hpp"

namespace dualscape {

/// What a random number is for. Each purpose draws from a stream of its own, so that changing one use never
/// shifts the numbers of another. The numbers are part of the meaning of a seed: append, never renumber.
enum class Stream : std::uint32_t {
  selection = 1,
  label_noise = 2,
  initial_weights = 3,
  batch_order = 4,
  dropout = 5,
  start_vector = 6,
  pairing = 7,
  probe = 8,
  bootstrap = 9,
  repeat = 10,
  density_probe = 20,
  trace_probe = 21,
  diagonal_probe = 22,
  singular_start = 23,
  matrix_probe = 24,
};

/// Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011): a number is a function of seed,
/// stream, substream and index alone, so any rank can draw any number in any order.
class Random {
 public:
  Random(std::uint64_t seed, Stream stream, std::uint32_t substream = 0);

  /// 64 random bits. An index gives the same bits each time.
  std::uint64_t bits(std::uint64_t index) const;
  /// Uniform in [0, 1), 53 bits.
  double uniform(std::uint64_t index) const;
  /// Standard normal (Box-Muller).
  double normal(std::uint64_t index) const;
  /// Uniform integer in [0, bound); the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t index, std::uint64_t bound) const;
  /// A random order of 0 .. n-1 (Fisher-Yates); uses indices first .. first + n - 1.
  std::vector<Index> permutation(Index n, std::uint64_t first = 0) const;

 private:
  std::uint64_t seed_;
  std::uint32_t stream_;
  std::uint32_t substream_;
};

}  // namespace dualscape
