#pragma once

#include <exception>
#include <span>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/partition.hpp"

/// Sums over samples with the same bits at any number of ranks.
///
/// A sum over samples is split into *lanes*: contiguous ranges whose number and borders depend on the number
/// of samples alone. A rank owns a contiguous range of lanes, sums each of them on its own, and lane sums are
/// added in one binary tree over lane numbers. Where the ranks' borders lie inside that tree changes who
/// adds, never what is added to what.
namespace dualscape {

class Lanes {
 public:
  Lanes() = default;
  /// `lanes` must be a power of two.
  Lanes(Index samples, int lanes);
  /// The number of lanes chosen for a number of samples: a power of two, 8 up to 16384 samples, then one lane
  /// for about each 2048 samples, at most 64.
  static int automatic(Index samples);

  Index samples() const { return samples_; }
  int count() const { return lanes_; }
  /// First sample of a lane; begin(count()) is the number of samples.
  Index begin(int lane) const { return samples_ * lane / lanes_; }
  Index end(int lane) const { return begin(lane + 1); }
  /// First lane of a rank out of `ranks`; a rank may own none.
  int first_lane(int rank, int ranks) const {
    return static_cast<int>(static_cast<Index>(lanes_) * rank / ranks);
  }
  /// First sample of a rank.
  Index first_sample(int rank, int ranks) const { return begin(first_lane(rank, ranks)); }

 private:
  Index samples_ = 0;
  int lanes_ = 1;
};

/// One sum over all lanes of a block of vectors, in the fixed tree, kept and exchanged in Real. Use: for each
/// own lane, in order, fill `next_lane()`; then one of the finishing calls, after which the object serves
/// another sum with the buffers it has.
template <class Real>
class OrderedSum {
 public:
  /// Sums `vectors` vectors of `length` entries each. `parts`: sizes of the pieces that a buffer is made of
  /// where it holds the vectors' shares of a piece one after the other, piece by piece; none: vector by
  /// vector.
  OrderedSum(const Comm& comm, const Lanes& lanes, Index vectors, Index length,
             std::vector<Index> parts = {});

  Index vectors() const { return vectors_; }
  /// Buffer (vectors x length, zeroed) for the sum of the next lane of this rank; valid until the next call.
  MatrixView<Real> next_lane();

  /// This rank failed, or was asked to stop: every rank will throw from the finishing call instead of
  /// returning, the failure's own error here and on the others.
  void fail(std::exception_ptr error) { error_ = error; }

  /// The parts of the sums that `partition` gives to this rank (vectors x count). One exchange, whose status
  /// entries also make a failure or a stop request collective. @note Collective
  void reduce_scatter(const Partition& partition, MultiVector out);

  /// The whole sums on every rank. @note Collective
  void all_reduce(MatrixView<double> out);

  /// Nodes of the tree that a rank with the lanes [first, last) sends its sums of.
  static int nodes(int first, int last);
  /// Buffers of vectors x length that a rank with the lanes [first, last) needs at most.
  static int buffers(int first, int last);

 private:
  struct Node {
    int first = 0;  ///< first lane
    int width = 1;  ///< number of lanes, a power of two that divides `first`
    Matrix<Real> sum;
  };
  void merge_last();
  void settle();
  void reset();
  void exchange(const Partition& partition, MultiVector out);
  template <class To>
  To* copy_range(const Matrix<Real>& sum, Index vector, Index begin, Index count, To* to) const;

  const Comm& comm_;
  Lanes lanes_;
  Index vectors_;
  Index length_;
  std::vector<Index> parts_;
  int next_ = 0;
  std::vector<Node> nodes_;
  std::vector<Matrix<Real>> spare_;
  std::vector<Real> send_;
  std::vector<Real> receive_;
  std::exception_ptr error_;
};

using LaneSum = OrderedSum<double>;

/// Gathers distributed vectors: row j of `whole` (k x size) gets all parts of vector j on every rank, by one
/// exchange for every 131,072 entries or longer vector. @note Collective
void gather_all(const Comm& comm, const Partition& partition, ConstMultiVector parts,
                MatrixView<double> whole);

/// The same in one exchange, rounded to Real before it, piece by piece: the k vectors' shares of each of the
/// `pieces` (sizes that add up to partition.size()) one after the other. `whole`: k x size entries. @note
/// Collective
template <class Real>
void gather_pieces(const Comm& comm, const Partition& partition, ConstMultiVector parts,
                   std::span<const Index> pieces, std::span<Real> whole);

}  // namespace dualscape
