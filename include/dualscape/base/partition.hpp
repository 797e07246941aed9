#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace dualscape {

/// Positions and sizes, as PETSc's own on 64-bit hosts.
using Index = std::int64_t;

/// A contiguous distribution of `size` items over ranks: the first size % ranks ranks hold one more, which is
/// PETSc's default for a vector, unless borders are given.
class Partition {
 public:
  Partition() = default;
  Partition(Index size, int ranks) : size_(size), ranks_(ranks) {}
  /// Rank r holds [borders[r], borders[r + 1]); the first border is 0, the last one the size.
  explicit Partition(std::vector<Index> borders)
      : size_(borders.back()), ranks_(static_cast<int>(borders.size()) - 1), borders_(std::move(borders)) {}

  Index size() const { return size_; }
  int ranks() const { return ranks_; }
  Index begin(int rank) const {
    if (!borders_.empty()) return borders_[static_cast<std::size_t>(rank)];
    return rank * (size_ / ranks_) + std::min<Index>(rank, size_ % ranks_);
  }
  Index end(int rank) const { return begin(rank + 1); }
  Index count(int rank) const { return end(rank) - begin(rank); }

  /// Whether every rank holds the same items in both.
  bool operator==(const Partition& other) const {
    if (size_ != other.size_ || ranks_ != other.ranks_) return false;
    for (int rank = 0; rank < ranks_; ++rank)
      if (begin(rank) != other.begin(rank)) return false;
    return true;
  }

 private:
  Index size_ = 0;
  int ranks_ = 1;
  std::vector<Index> borders_;  ///< empty: even
};

}  // namespace dualscape
