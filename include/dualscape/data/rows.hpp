#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/partition.hpp"

namespace dualscape::data {

/// What the values of a sample are: unsigned bytes; other integers, kept as double; real numbers.
enum class Element { byte, integer, real };

/// Samples in the source's own numbers: one contiguous row of `features` values a sample.
class Rows {
 public:
  Rows() = default;
  /// `count` rows of zeros.
  Rows(Index count, Index features, Element element);

  Index count() const { return count_; }
  Index features() const { return features_; }
  Element element() const { return element_; }
  /// Whether the source holds integers, so that sums of products of values are exact.
  bool is_integer() const { return element_ != Element::real; }

  /// Share of the values that are not zero; 0 without values.
  double nonzero_share() const;

  std::size_t row_bytes() const;
  /// The stored form of row i: bytes, or doubles in the memory order of this machine.
  std::span<std::byte> row(Index i);
  std::span<const std::byte> row(Index i) const;
  std::byte* data() { return values_.data(); }
  const std::byte* data() const { return values_.data(); }

  /// Rows [first, first + count) into `out` (count x features), as a network takes them: integers divided by
  /// `scale` in double precision, real numbers as they are; then rounded to Real, double or float.
  template <class Real>
  void copy_scaled(Index first, Index count, MatrixView<Real> out, double scale) const;
  /// The given rows, in that order, likewise.
  template <class Real>
  void copy_scaled(std::span<const Index> positions, MatrixView<Real> out, double scale) const;
  /// As copy_scaled without the division.
  template <class Real>
  void copy_raw(Index first, Index count, MatrixView<Real> out) const;

  /// The rows at `positions`, in that order.
  Rows chosen(std::span<const Index> positions) const;

 private:
  template <class Real>
  void copy_rows(Index count, const auto& position, MatrixView<Real> out, double scale) const;

  Index count_ = 0;
  Index features_ = 0;
  Element element_ = Element::byte;
  std::vector<std::byte> values_;
};

/// Samples spread over the ranks: rank r holds the rows of Partition(count(), ranks).
class DistributedRows {
 public:
  DistributedRows() = default;
  /// `local`: this rank's rows. Throws std::logic_error when their number does not fit the partition.
  DistributedRows(const Comm& comm, Index count, Rows local);

  Index count() const { return partition_.size(); }
  Index features() const { return local_.features(); }
  bool is_integer() const { return local_.is_integer(); }
  bool is_bytes() const { return local_.element() == Element::byte; }
  const Partition& partition() const { return partition_; }
  const Rows& local() const { return local_; }

  /// The rows at the positions `wanted`, in that order; each rank names its own, with repeats or none at all.
  /// Throws std::logic_error on every rank when any rank names a position that does not exist. @note
  /// Collective
  Rows fetch(const Comm& comm, std::span<const Index> wanted) const;

 private:
  int owner(Index position) const;
  /// The rows named by `questions`, `asked` of them in turn of each rank; `owed`: how many each rank asks of
  /// this one. @note Collective
  Rows bring(const Comm& comm, const std::vector<Index>& questions, const std::vector<int>& asked,
             const std::vector<int>& owed) const;

  Partition partition_;
  Rows local_;
};

}  // namespace dualscape::data
