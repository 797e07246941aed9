#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace dualscape {

/// Positions and sizes, as PETSc's own on 64-bit hosts.
using Index = std::int64_t;

/// A contiguous distribution of `size` items over ranks: the first size % ranks ranks hold one more, which is
/// PETSc's default for a vector.
class Partition {
 public:
  Partition() = default;
  Partition(Index size, int ranks) : size_(size), ranks_(ranks) {}

  Index size() const { return size_; }
  int ranks() const { return ranks_; }
  Index begin(int rank) const { return rank * (size_ / ranks_) + std::min<Index>(rank, size_ % ranks_); }
  Index end(int rank) const { return begin(rank + 1); }
  Index count(int rank) const { return end(rank) - begin(rank); }

  bool operator==(const Partition&) const = default;

 private:
  Index size_ = 0;
  int ranks_ = 1;
};

}  // namespace dualscape
