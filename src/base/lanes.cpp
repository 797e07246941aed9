#include "dualscape/base/lanes.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"

namespace dualscape {
namespace {

constexpr double status_good = 0;
constexpr double status_stop = 1;
constexpr double status_failed = 2;

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

void add(MatrixView<double> into, ConstMatrixView<double> more) {
  for (Index i = 0; i < into.rows; ++i)
    for (Index j = 0; j < into.cols; ++j) into(i, j) += more(i, j);
}

}  // namespace

Lanes::Lanes(Index samples, int lanes) : samples_(samples), lanes_(lanes) {
  if (lanes < 1 || !std::has_single_bit(static_cast<unsigned>(lanes)))
    throw std::logic_error("the number of lanes must be a power of two");
}

int Lanes::automatic(Index samples) {
  return static_cast<int>(
      std::bit_floor(static_cast<std::uint64_t>(std::clamp<Index>(samples / 2048, 8, 64))));
}

LaneSum::LaneSum(const Comm& comm, const Lanes& lanes, Index vectors, Index length)
    : comm_(comm),
      lanes_(lanes),
      vectors_(vectors),
      length_(length),
      next_(lanes.first_lane(comm.rank(), comm.size())) {}

MatrixView<double> LaneSum::next_lane() {
  settle();
  if (next_ >= lanes_.first_lane(comm_.rank() + 1, comm_.size()))
    throw std::logic_error("LaneSum: more lanes than this rank owns");
  Node node{.first = next_++, .width = 1, .sum = {}};
  if (spare_.empty()) {
    node.sum = Matrix<double>(vectors_, length_);
  } else {
    node.sum = std::move(spare_.back());
    spare_.pop_back();
    std::ranges::fill(node.sum.entries(), 0.0);
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().sum.view();
}

void LaneSum::merge_last() {
  Node right = std::move(nodes_.back());
  nodes_.pop_back();
  Node& left = nodes_.back();
  add(left.sum.view(), right.sum.view());
  left.width *= 2;
  spare_.push_back(std::move(right.sum));
}

void LaneSum::settle() {
  // Siblings merge as soon as both are complete: at most log2(lanes) sums are alive.
  while (nodes_.size() >= 2) {
    const Node& left = nodes_[nodes_.size() - 2];
    const Node& right = nodes_.back();
    if (left.width != right.width || left.first % (2 * left.width) != 0) break;
    merge_last();
  }
}

void LaneSum::reduce_scatter(const Partition& partition, MultiVector out) {
  settle();
  const int ranks = comm_.size();
  const int me = comm_.rank();
  const int last = lanes_.first_lane(me + 1, ranks);
  if (!error_ && next_ != last)
    error_ = std::make_exception_ptr(std::logic_error("LaneSum: a lane of this rank was not filled"));
  if (ranks == 1) {
    if (error_) std::rethrow_exception(error_);
    if (stop_requested()) throw Interrupted("stopped by a signal");
    const auto sum = nodes_.front().sum.view();
    for (Index v = 0; v < vectors_; ++v) std::ranges::copy(sum.row(v), out.row(v).begin());
    return;
  }

  // Every rank sends each other rank that rank's part of all its tree nodes, and its status.
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
  std::vector<double> send(static_cast<std::size_t>(sending));
  std::vector<double> receive(static_cast<std::size_t>(receiving));
  const double status = error_ ? status_failed : stop_requested() ? status_stop : status_good;
  for (int r = 0; r < ranks; ++r) {
    auto to = send.begin() + send_starts[static_cast<std::size_t>(r)];
    *to++ = status;
    if (status == status_failed) continue;
    for (const Node& node : nodes_)
      for (Index v = 0; v < vectors_; ++v)
        to = std::copy_n(node.sum.row(v).begin() + partition.begin(r), partition.count(r), to);
  }
  MPI_Alltoallv(send.data(), send_counts.data(), send_starts.data(), MPI_DOUBLE, receive.data(),
                receive_counts.data(), receive_starts.data(), MPI_DOUBLE, comm_.get());

  double worst = status_good;
  for (int start : receive_starts) worst = std::max(worst, receive[static_cast<std::size_t>(start)]);
  if (worst == status_failed) throw_collectively(comm_, error_);
  if (worst == status_stop) throw Interrupted("stopped by a signal");

  // The received nodes, in the order of their lanes, finish the same tree.
  nodes_.clear();
  const Index part = partition.count(me);
  for (int r = 0; r < ranks; ++r) {
    const double* from = receive.data() + receive_starts[static_cast<std::size_t>(r)] + 1;
    for (const auto& [first, width] : nodes_of[static_cast<std::size_t>(r)]) {
      Node node{.first = first, .width = width, .sum = Matrix<double>(vectors_, part)};
      std::copy_n(from, vectors_ * part, node.sum.data());
      from += vectors_ * part;
      nodes_.push_back(std::move(node));
      settle();
    }
  }
  const auto sum = nodes_.front().sum.view();
  for (Index v = 0; v < vectors_; ++v) std::ranges::copy(sum.row(v), out.row(v).begin());
}

void LaneSum::all_reduce(MatrixView<double> out) {
  const Partition partition(length_, comm_.size());
  Matrix<double> part(vectors_, partition.count(comm_.rank()));
  reduce_scatter(partition, part.view());
  gather_all(comm_, partition, part.view(), out);
}

void gather_all(const Comm& comm, const Partition& partition, ConstMultiVector parts,
                MatrixView<double> whole) {
  const int ranks = comm.size();
  const Index vectors = parts.rows;
  const Index own = partition.count(comm.rank());
  if (ranks == 1) {
    for (Index v = 0; v < vectors; ++v) std::ranges::copy(parts.row(v), whole.row(v).begin());
    return;
  }
  std::vector<int> counts(static_cast<std::size_t>(ranks)), starts(counts);
  for (int r = 0; r < ranks; ++r) {
    counts[static_cast<std::size_t>(r)] = checked_int(vectors * partition.count(r));
    starts[static_cast<std::size_t>(r)] = checked_int(vectors * partition.begin(r));
  }
  if (vectors == 1) {
    MPI_Allgatherv(parts.data, checked_int(own), MPI_DOUBLE, whole.data, counts.data(), starts.data(),
                   MPI_DOUBLE, comm.get());
    return;
  }
  std::vector<double> send(static_cast<std::size_t>(vectors * own));
  std::vector<double> receive(static_cast<std::size_t>(vectors * partition.size()));
  for (Index v = 0; v < vectors; ++v) std::ranges::copy(parts.row(v), send.begin() + v * own);
  MPI_Allgatherv(send.data(), checked_int(vectors * own), MPI_DOUBLE, receive.data(), counts.data(),
                 starts.data(), MPI_DOUBLE, comm.get());
  for (int r = 0; r < ranks; ++r)
    for (Index v = 0; v < vectors; ++v)
      std::copy_n(receive.data() + starts[static_cast<std::size_t>(r)] + v * partition.count(r),
                  partition.count(r), whole.row(v).data() + partition.begin(r));
}

}  // namespace dualscape
