#include "dualscape/base/lanes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"

namespace dualscape {
namespace {

// What a rank says of itself at the head of its messages; 0 is well.
template <class Real>
constexpr Real status_stop = 1;
template <class Real>
constexpr Real status_failed = 2;

/// The maximal tree nodes within the lanes [first, last): in order, each aligned to its width.
std::vector<std::pair<int, int>> tree_nodes(int first, int last) {
  std::vector<std::pair<int, int>> nodes;
  while (first < last) {
    int width = 1;
    while (first % (2 * width) == 0 && first + 2 * width <= last) width *= 2;
    nodes.emplace_back(first, width);
    first += width;
  }
  return nodes;
}

int checked_int(Index value) {
  if (value > std::numeric_limits<int>::max())
    throw ComputationError("a message of " + std::to_string(value) +
                           " numbers is longer than MPI can count; use more ranks or smaller blocks");
  return static_cast<int>(value);
}

/// Calls visit(start, from, count) for the ranges of entries that one of `vectors` vectors, spread piece by
/// piece, has of its entries [begin, begin + count): `start` is where they lie, `from` their place in the
/// vector.
template <class Visit>
void for_each_range(std::span<const Index> pieces, Index vectors, Index vector, Index begin, Index count,
                    const Visit& visit) {
  Index offset = 0;
  for (const Index size : pieces) {
    const Index first = std::max(begin, offset);
    const Index last = std::min(begin + count, offset + size);
    if (first < last) visit(vectors * offset + vector * size + (first - offset), first, last - first);
    offset += size;
  }
}

/// Vectors that travel together: few enough that what arrives is still in the cache when it is put into its
/// places, and needs little memory beside whole vectors.
Index vectors_at_once(Index vectors, Index size) {
  constexpr Index entries = Index{1} << 17;
  return std::max<Index>(1, std::min(vectors, entries / std::max<Index>(size, 1)));
}

/// The other ranks' parts of a few vectors, under way from start() to finish().
class PartsExchange {
 public:
  PartsExchange(const Comm& comm, const Partition& partition) : comm_(comm), partition_(partition) {}

  /// `vector`: where one vector alone is to arrive, every part in its place; none: the parts arrive rank by
  /// rank, vector by vector, in a buffer. @note Collective
  void start(ConstMultiVector parts, double* vector) {
    const auto ranks = static_cast<std::size_t>(comm_.size());
    send_counts_.assign(ranks, static_cast<int>(parts.rows * parts.cols));
    send_counts_[static_cast<std::size_t>(comm_.rank())] = 0;
    send_starts_.assign(ranks, 0);
    counts_.clear();
    starts_.clear();
    Index arriving = 0;
    for (int r = 0; r < comm_.size(); ++r) {
      counts_.push_back(r == comm_.rank() ? 0 : static_cast<int>(parts.rows * partition_.count(r)));
      starts_.push_back(static_cast<int>(vector != nullptr ? partition_.begin(r) : arriving));
      arriving += counts_.back();
    }
    if (vector == nullptr) arrived_.resize(static_cast<std::size_t>(arriving));
    if (!parts.contiguous()) {
      packed_.clear();
      for (Index v = 0; v < parts.rows; ++v)
        packed_.insert(packed_.end(), parts.row(v).begin(), parts.row(v).end());
    }
    MPI_Ialltoallv(parts.contiguous() ? parts.data : packed_.data(), send_counts_.data(), send_starts_.data(),
                   MPI_DOUBLE, vector != nullptr ? vector : arrived_.data(), counts_.data(), starts_.data(),
                   MPI_DOUBLE, comm_.get(), &request_);
  }

  /// What arrived in the buffer.
  const double* finish() {
    MPI_Wait(&request_, MPI_STATUS_IGNORE);
    return arrived_.data();
  }

 private:
  const Comm& comm_;
  const Partition& partition_;
  std::vector<double> packed_, arrived_;
  std::vector<int> send_counts_, send_starts_, counts_, starts_;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace

Lanes::Lanes(Index samples, int lanes) : samples_(samples), lanes_(lanes) {
  if (lanes < 1 || !std::has_single_bit(static_cast<unsigned>(lanes)))
    throw std::logic_error("the number of lanes must be a power of two");
}

int Lanes::automatic(Index samples) {
  return static_cast<int>(
      std::bit_floor(static_cast<std::uint64_t>(std::clamp<Index>(samples / 2048, 8, 64))));
}

template <class Real>
OrderedSum<Real>::OrderedSum(const Comm& comm, const Lanes& lanes, Index vectors, Index length,
                             std::vector<Index> parts)
    : comm_(comm),
      lanes_(lanes),
      vectors_(vectors),
      length_(length),
      parts_(std::move(parts)),
      next_(lanes.first_lane(comm.rank(), comm.size())) {
  if (parts_.empty()) parts_ = std::vector<Index>(1, length);
}

template <class Real>
int OrderedSum<Real>::nodes(int first, int last) {
  return static_cast<int>(tree_nodes(first, last).size());
}

template <class Real>
int OrderedSum<Real>::buffers(int first, int last) {
  std::size_t most = 0;
  for (int lane = first; lane < last; ++lane) most = std::max(most, tree_nodes(first, lane).size() + 1);
  return static_cast<int>(most);
}

template <class Real>
MatrixView<Real> OrderedSum<Real>::next_lane() {
  settle();
  if (next_ >= lanes_.first_lane(comm_.rank() + 1, comm_.size()))
    throw std::logic_error("OrderedSum: more lanes than this rank owns");
  Node node{.first = next_++, .width = 1, .sum = {}};
  if (spare_.empty()) {
    node.sum = Matrix<Real>(vectors_, length_);
  } else {
    node.sum = std::move(spare_.back());
    spare_.pop_back();
    std::ranges::fill(node.sum.entries(), Real(0));
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().sum.view();
}

template <class Real>
void OrderedSum<Real>::merge_last() {
  Node right = std::move(nodes_.back());
  nodes_.pop_back();
  Node& left = nodes_.back();
  combine(left.sum.entries(), right.sum.entries(), std::plus<>());
  left.width *= 2;
  spare_.push_back(std::move(right.sum));
}

template <class Real>
void OrderedSum<Real>::settle() {
  // Siblings merge as soon as both are complete: at most log2(lanes) sums are alive.
  while (nodes_.size() >= 2) {
    const Node& left = nodes_[nodes_.size() - 2];
    const Node& right = nodes_.back();
    if (left.width != right.width || left.first % (2 * left.width) != 0) break;
    merge_last();
  }
}

template <class Real>
void OrderedSum<Real>::reset() {
  for (Node& node : nodes_) spare_.push_back(std::move(node.sum));
  nodes_.clear();
  next_ = lanes_.first_lane(comm_.rank(), comm_.size());
  error_ = nullptr;
}

template <class Real>
template <class To>
To* OrderedSum<Real>::copy_range(const Matrix<Real>& sum, Index vector, Index begin, Index count,
                                 To* to) const {
  for_each_range(parts_, vectors_, vector, begin, count,
                 [&](Index start, Index, Index length) { to = std::copy_n(sum.data() + start, length, to); });
  return to;
}

template <class Real>
void OrderedSum<Real>::reduce_scatter(const Partition& partition, MultiVector out) {
  settle();
  if (!error_ && next_ != lanes_.first_lane(comm_.rank() + 1, comm_.size()))
    error_ = std::make_exception_ptr(std::logic_error("OrderedSum: a lane of this rank was not filled"));
  const std::exception_ptr error = error_;
  try {
    if (comm_.size() > 1) {
      exchange(partition, out);
    } else {
      if (error) std::rethrow_exception(error);
      if (stop_requested()) throw Interrupted("stopped by a signal");
      for (Index v = 0; v < vectors_; ++v) copy_range(nodes_.front().sum, v, 0, length_, out.row(v).data());
    }
  } catch (...) {
    reset();
    throw;
  }
  reset();
}

template <class Real>
void OrderedSum<Real>::exchange(const Partition& partition, MultiVector out) {
  // Every rank sends each rank that rank's part of all its tree nodes, and its status.
  const int ranks = comm_.size();
  const int me = comm_.rank();
  std::vector<int> send_counts(static_cast<std::size_t>(ranks)), send_starts(send_counts),
      receive_counts(send_counts), receive_starts(send_counts);
  std::vector<std::vector<std::pair<int, int>>> nodes_of(static_cast<std::size_t>(ranks));
  Index sending = 0;
  Index receiving = 0;
  for (int r = 0; r < ranks; ++r) {
    const auto at = static_cast<std::size_t>(r);
    nodes_of[at] = tree_nodes(lanes_.first_lane(r, ranks), lanes_.first_lane(r + 1, ranks));
  }
  const auto own_nodes = std::ssize(nodes_of[static_cast<std::size_t>(me)]);
  for (int r = 0; r < ranks; ++r) {
    const auto at = static_cast<std::size_t>(r);
    send_starts[at] = checked_int(sending);
    send_counts[at] = checked_int(own_nodes * vectors_ * partition.count(r) + 1);
    sending += send_counts[at];
    receive_starts[at] = checked_int(receiving);
    receive_counts[at] = checked_int(std::ssize(nodes_of[at]) * vectors_ * partition.count(me) + 1);
    receiving += receive_counts[at];
  }
  send_.resize(static_cast<std::size_t>(sending));
  receive_.resize(static_cast<std::size_t>(receiving));
  const Real status = error_ ? status_failed<Real> : stop_requested() ? status_stop<Real> : Real(0);
  for (int r = 0; r < ranks; ++r) {
    Real* to = send_.data() + send_starts[static_cast<std::size_t>(r)];
    *to++ = status;
    if (status == status_failed<Real>) continue;
    for (const Node& node : nodes_)
      for (Index v = 0; v < vectors_; ++v)
        to = copy_range(node.sum, v, partition.begin(r), partition.count(r), to);
  }
  MPI_Alltoallv(send_.data(), send_counts.data(), send_starts.data(), mpi_type<Real>(), receive_.data(),
                receive_counts.data(), receive_starts.data(), mpi_type<Real>(), comm_.get());

  Real worst = 0;
  for (int start : receive_starts) worst = std::max(worst, receive_[static_cast<std::size_t>(start)]);
  if (worst == status_failed<Real>) throw_collectively(comm_, error_);
  if (worst == status_stop<Real>) throw Interrupted("stopped by a signal");

  // The received nodes, in the order of their lanes, finish the same tree, on this rank's part alone.
  OrderedSum part(comm_, lanes_, vectors_, partition.count(me));
  for (int r = 0; r < ranks; ++r) {
    const Real* from = receive_.data() + receive_starts[static_cast<std::size_t>(r)] + 1;
    for (const auto& [first, width] : nodes_of[static_cast<std::size_t>(r)]) {
      Node node{.first = first, .width = width, .sum = Matrix<Real>(vectors_, partition.count(me))};
      std::copy_n(from, node.sum.entries().size(), node.sum.data());
      from += node.sum.entries().size();
      part.nodes_.push_back(std::move(node));
      part.settle();
    }
  }
  const auto sum = part.nodes_.front().sum.view();
  for (Index v = 0; v < vectors_; ++v) std::ranges::copy(sum.row(v), out.row(v).begin());
}

template <class Real>
void OrderedSum<Real>::all_reduce(MatrixView<double> out) {
  const Partition partition(length_, comm_.size());
  Matrix<double> part(vectors_, partition.count(comm_.rank()));
  reduce_scatter(partition, part.view());
  gather_all(comm_, partition, part.view(), out);
}

void gather_all(const Comm& comm, const Partition& partition, ConstMultiVector parts,
                MatrixView<double> whole) {
  const Index vectors = parts.rows;
  if (vectors == 1) {
    const std::vector<Index> one_piece(1, partition.size());
    return gather_pieces<double>(comm, partition, parts, one_piece, whole.row(0));
  }
  const int me = comm.rank();
  const auto place = [&](Index v, int r, const double* from) {
    std::copy_n(from, partition.count(r), whole.row(v).begin() + partition.begin(r));
  };
  const Index chunk = vectors_at_once(vectors, partition.size());
  checked_int(chunk * partition.size());
  // One exchange is under way while what came with the one before is put into its places.
  std::array<PartsExchange, 2> exchanges{PartsExchange(comm, partition), PartsExchange(comm, partition)};
  const auto exchange_of = [&](Index v) -> PartsExchange& {
    return exchanges[static_cast<std::size_t>(v / chunk % 2)];
  };
  const auto start = [&](Index v) {
    if (comm.size() > 1 && v < vectors)
      exchange_of(v).start(parts.rows_from(v, std::min(chunk, vectors - v)),
                           chunk == 1 ? whole.row(v).data() : nullptr);
  };
  start(0);
  for (Index v = 0; v < vectors; v += chunk) {
    start(v + chunk);
    const Index end = std::min(v + chunk, vectors);
    for (Index i = v; i < end; ++i) place(i, me, parts.row(i).data());
    const double* from = exchange_of(v).finish();
    for (int r = 0; r < comm.size() && chunk > 1; ++r)
      for (Index i = v; i < end && r != me; ++i, from += partition.count(r)) place(i, r, from);
  }
}

template <class Real>
void gather_pieces(const Comm& comm, const Partition& partition, ConstMultiVector parts,
                   std::span<const Index> pieces, std::span<Real> whole) {
  const int ranks = comm.size();
  const Index vectors = parts.rows;
  const Index own = partition.count(comm.rank());
  const auto round = [](double x) { return static_cast<Real>(x); };
  // Entries [begin, begin + count) of vector v, from where they are, into their places.
  const auto place = [&](Index v, Index begin, Index count, const auto* from) {
    for_each_range(pieces, vectors, v, begin, count, [&](Index start, Index first, Index length) {
      std::transform(from + (first - begin), from + (first - begin) + length, whole.begin() + start, round);
    });
  };
  if (ranks == 1) {
    for (Index v = 0; v < vectors; ++v) place(v, 0, own, parts.row(v).data());
    return;
  }
  std::vector<int> counts(static_cast<std::size_t>(ranks)), starts(counts);
  for (int r = 0; r < ranks; ++r) {
    counts[static_cast<std::size_t>(r)] = checked_int(vectors * partition.count(r));
    starts[static_cast<std::size_t>(r)] = checked_int(vectors * partition.begin(r));
  }
  std::vector<Real> rounded;
  const Real* send = nullptr;
  if constexpr (std::is_same_v<Real, double>) {
    if (parts.contiguous()) send = parts.data;
  }
  if (send == nullptr) {
    rounded.resize(static_cast<std::size_t>(vectors * own));
    for (Index v = 0; v < vectors; ++v)
      std::ranges::transform(parts.row(v), rounded.begin() + v * own, round);
    send = rounded.data();
  }
  // A single vector arrives in its order.
  const auto arrived = std::make_unique_for_overwrite<Real[]>(vectors == 1 ? 0 : whole.size());
  Real* const into = vectors == 1 ? whole.data() : arrived.get();
  MPI_Allgatherv(send, checked_int(vectors * own), mpi_type<Real>(), into, counts.data(), starts.data(),
                 mpi_type<Real>(), comm.get());
  if (vectors == 1) return;
  for (int r = 0; r < ranks; ++r)
    for (Index v = 0; v < vectors; ++v)
      place(v, partition.begin(r), partition.count(r),
            arrived.get() + starts[static_cast<std::size_t>(r)] + v * partition.count(r));
}

template class OrderedSum<double>;
template class OrderedSum<float>;
template void gather_pieces<double>(const Comm&, const Partition&, ConstMultiVector, std::span<const Index>,
                                    std::span<double>);
template void gather_pieces<float>(const Comm&, const Partition&, ConstMultiVector, std::span<const Index>,
                                   std::span<float>);

}  // namespace dualscape
