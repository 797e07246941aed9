#include "dualscape/data/rows.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "dualscape/base/cache_lines.hpp"

namespace dualscape::data {
namespace {

/// Sums of the entries before each one: where the parts of a message to or from each rank begin.
std::vector<int> starts(const std::vector<int>& counts) {
  std::vector<int> result(counts.size());
  std::exclusive_scan(counts.begin(), counts.end(), result.begin(), 0);
  return result;
}

int total(const std::vector<int>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0);
}

/// One row as an MPI datatype: counts in rows stay small where counts in bytes exceed int.
class RowType {
 public:
  explicit RowType(std::size_t bytes) {
    MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type_);
    MPI_Type_commit(&type_);
  }
  ~RowType() { MPI_Type_free(&type_); }
  RowType(const RowType&) = delete;
  RowType& operator=(const RowType&) = delete;
  MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

/// Bytes over a scale, as a division in double rounds them. There are only 256 quotients: a table has them,
/// and where a product with the inverse and one correction gives all of them bit for bit, so does a loop that
/// vectorises.
template <class Real>
class ByteQuotients {
 public:
  explicit ByteQuotients(double scale) : scale_(static_cast<Real>(scale)), inverse_(1 / scale_) {
#ifdef __FP_FAST_FMA
    corrected_ = true;
#endif
    for (std::size_t value = 0; value < table_.size(); ++value) {
      table_[value] = static_cast<Real>(static_cast<double>(value) / scale);
      corrected_ = corrected_ && table_[value] == corrected(static_cast<std::byte>(value));
    }
  }

  void copy(std::span<const std::byte> from, std::span<Real> to) const {
    if (corrected_)
      std::ranges::transform(from, to.begin(), [this](std::byte value) { return corrected(value); });
    else
      std::ranges::transform(from, to.begin(),
                             [this](std::byte value) { return table_[std::to_integer<std::size_t>(value)]; });
  }

 private:
  Real corrected(std::byte value) const {
    const auto x = static_cast<Real>(std::to_integer<int>(value));
    const Real near = x * inverse_;
    return std::fma(std::fma(-near, scale_, x), inverse_, near);
  }

  Real scale_;
  Real inverse_;
  bool corrected_ = false;
  std::array<Real, 256> table_;
};

}  // namespace

Rows::Rows(Index count, Index features, Element element)
    : count_(count),
      features_(features),
      element_(element),
      values_(static_cast<std::size_t>(count) * row_bytes()) {}

double Rows::nonzero_share() const {
  const auto share = [](const auto* values, std::size_t count) {
    using Value = std::remove_cvref_t<decltype(*values)>;
    const auto zeros = std::count(values, values + count, Value{});
    return count == 0 ? 0 : 1 - static_cast<double>(zeros) / static_cast<double>(count);
  };
  if (element_ == Element::byte) return share(values_.data(), values_.size());
  return share(reinterpret_cast<const double*>(values_.data()), values_.size() / sizeof(double));
}

std::size_t Rows::row_bytes() const {
  return static_cast<std::size_t>(features_) * (element_ == Element::byte ? 1 : sizeof(double));
}

std::span<std::byte> Rows::row(Index i) {
  return std::span(values_).subspan(static_cast<std::size_t>(i) * row_bytes(), row_bytes());
}

std::span<const std::byte> Rows::row(Index i) const {
  return std::span(values_).subspan(static_cast<std::size_t>(i) * row_bytes(), row_bytes());
}

Rows Rows::chosen(std::span<const Index> positions) const {
  Rows rows(std::ssize(positions), features_, element_);
  for (std::size_t i = 0; i < positions.size(); ++i)
    std::ranges::copy(row(positions[i]), rows.row(static_cast<Index>(i)).begin());
  return rows;
}

/// Row position(i) into row i of `out`.
template <class Real>
void Rows::copy_rows(Index count, const auto& position, MatrixView<Real> out, double scale) const {
  assert(out.rows == count && out.cols == features_);
  if (element_ == Element::byte) {
    const ByteQuotients<Real> quotients(scale);
    // Rows picked at random are where no prefetcher expects them.
    constexpr Index ahead = 3;
    for (Index i = 0; i < count; ++i) {
      if (i + ahead < count) prefetch(row(position(i + ahead)));
      quotients.copy(row(position(i)), out.row(i));
    }
    return;
  }
  const double divisor = is_integer() ? scale : 1.0;
  for (Index i = 0; i < count; ++i) {
    const auto* values = reinterpret_cast<const double*>(row(position(i)).data());
    for (Index j = 0; j < features_; ++j) out(i, j) = static_cast<Real>(values[j] / divisor);
  }
}

template <class Real>
void Rows::copy_scaled(Index first, Index count, MatrixView<Real> out, double scale) const {
  assert(first >= 0 && first + count <= count_);
  copy_rows(
      count, [first](Index i) { return first + i; }, out, scale);
}

template <class Real>
void Rows::copy_scaled(std::span<const Index> positions, MatrixView<Real> out, double scale) const {
  copy_rows(
      std::ssize(positions), [&](Index i) { return positions[static_cast<std::size_t>(i)]; }, out, scale);
}

template <class Real>
void Rows::copy_raw(Index first, Index count, MatrixView<Real> out) const {
  copy_scaled(first, count, out, 1.0);
}

template void Rows::copy_scaled(Index, Index, MatrixView<double>, double) const;
template void Rows::copy_scaled(Index, Index, MatrixView<float>, double) const;
template void Rows::copy_scaled(std::span<const Index>, MatrixView<double>, double) const;
template void Rows::copy_scaled(std::span<const Index>, MatrixView<float>, double) const;
template void Rows::copy_raw(Index, Index, MatrixView<double>) const;
template void Rows::copy_raw(Index, Index, MatrixView<float>) const;

DistributedRows::DistributedRows(const Comm& comm, Index count, Rows local)
    : partition_(count, comm.size()), local_(std::move(local)) {
  if (local_.count() != partition_.count(comm.rank()))
    throw std::logic_error("DistributedRows: not this rank's number of rows");
}

int DistributedRows::owner(Index position) const {
  const Index share = partition_.size() / partition_.ranks();
  const Index larger = partition_.size() % partition_.ranks();
  const Index border = larger * (share + 1);
  return static_cast<int>(position < border ? position / (share + 1) : larger + (position - border) / share);
}

Rows DistributedRows::bring(const Comm& comm, const std::vector<Index>& questions,
                            const std::vector<int>& asked, const std::vector<int>& owed) const {
  const auto asked_from = starts(asked);
  const auto owed_to = starts(owed);
  std::vector<Index> orders(static_cast<std::size_t>(total(owed)));
  MPI_Alltoallv(questions.data(), asked.data(), asked_from.data(), MPI_INT64_T, orders.data(), owed.data(),
                owed_to.data(), MPI_INT64_T, comm.get());
  for (Index& order : orders) order -= partition_.begin(comm.rank());
  const Rows packed = local_.chosen(orders);
  Rows arrived(std::ssize(questions), features(), local_.element());
  const RowType row_type(local_.row_bytes());
  MPI_Alltoallv(packed.data(), owed.data(), owed_to.data(), row_type.get(), arrived.data(), asked.data(),
                asked_from.data(), row_type.get(), comm.get());
  return arrived;
}

Rows DistributedRows::fetch(const Comm& comm, std::span<const Index> wanted) const {
  const auto ranks = static_cast<std::size_t>(comm.size());
  if (comm.size() != partition_.ranks()) throw std::logic_error("fetch: rows of another communicator");
  std::vector<int> asked(ranks, 0);
  const bool valid = wanted.size() < std::numeric_limits<int>::max() &&
                     std::ranges::all_of(wanted, [&](Index i) { return i >= 0 && i < count(); });
  if (valid && ranks == 1) return local_.chosen(wanted);
  if (valid)
    for (const Index position : wanted) ++asked[static_cast<std::size_t>(owner(position))];
  else
    // A count no rank can mean tells every rank.
    std::ranges::fill(asked, -1);
  const auto me = static_cast<std::size_t>(comm.rank());
  if (valid) asked[me] = 0;
  std::vector<int> owed(ranks);
  MPI_Alltoall(asked.data(), 1, MPI_INT, owed.data(), 1, MPI_INT, comm.get());
  if (std::ranges::any_of(owed, [](int n) { return n < 0; })) throw std::logic_error("fetch: no such row");

  // Others' rows, sorted by owner: where each one wanted travels, and what is asked of each owner. Own rows
  // do not travel.
  std::vector<int> next = starts(asked);
  std::vector<Index> questions(static_cast<std::size_t>(total(asked)));
  std::vector<std::pair<Index, int>> travels;
  travels.reserve(questions.size());
  Rows result(static_cast<Index>(wanted.size()), features(), local_.element());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto from = static_cast<std::size_t>(owner(wanted[i]));
    const auto to = static_cast<Index>(i);
    if (from == me) {
      std::ranges::copy(local_.row(wanted[i] - partition_.begin(comm.rank())), result.row(to).begin());
      continue;
    }
    const int slot = next[from]++;
    travels.emplace_back(to, slot);
    questions[static_cast<std::size_t>(slot)] = wanted[i];
  }
  const Rows arrived = bring(comm, questions, asked, owed);
  for (const auto& [to, slot] : travels)
    std::ranges::copy(std::as_const(arrived).row(slot), result.row(to).begin());
  return result;
}

}  // namespace dualscape::data
