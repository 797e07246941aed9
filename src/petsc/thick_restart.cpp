#include "dualscape/petsc/thick_restart.hpp"

#include <slepcbv.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/petsc/handle.hpp"
#include "dualscape/petsc/shell_matrix.hpp"

namespace dualscape::petsc {
namespace {

PetscInt as_petsc(Index n) {
  return static_cast<PetscInt>(n);
}

/// The local entries of all columns of a BV as rows, for the length of a scope.
class Columns {
 public:
  Columns(BV basis, Index columns, Index local) : basis_(basis) {
    PetscInt constraints = 0;
    check(BVGetNumConstraints(basis, &constraints), "BVGetNumConstraints");
    check(BVGetArray(basis, &data_), "BVGetArray");
    rows_ = {data_ + constraints * local, columns, local};
  }
  ~Columns() { static_cast<void>(BVRestoreArray(basis_, &data_)); }
  Columns(const Columns&) = delete;
  Columns& operator=(const Columns&) = delete;

  MultiVector rows(Index first, Index count) const { return rows_.rows_from(first, count); }

 private:
  BV basis_;
  PetscScalar* data_ = nullptr;
  MultiVector rows_;
};

class ThickRestart {
 public:
  ThickRestart(ShellMatrix& matrix, const ThickRestartOptions& options);

  ThickRestartResult solve(const RestartState& from);

 private:
  const Comm& comm() const { return matrix_.op().comm(); }
  Partition partition() const { return matrix_.op().range(); }
  Index local() const { return partition().count(comm().rank()); }
  Columns columns() const { return {basis_.get(), room_ + block_, local()}; }

  void make_basis();
  void begin();
  void continue_from(const RestartState& from);
  void draw(Index column);
  double orthogonalise(Index column, std::span<double> coefficients);
  void multiply_block();
  bool full() const { return width_ == 0 || multiplied_ + width_ > room_; }
  void expand();
  void measure_asymmetry();
  void project();
  bool nothing_beyond() const;
  Index converged() const;
  Index settled() const;
  double residual(Index pair) const;
  void rotate(Index kept);
  void restart(Index converged);
  void report(bool stopping) const;
  std::vector<RitzPair> take(Index count);

  ShellMatrix& matrix_;
  const ThickRestartOptions& options_;
  Index left_ = 0;   ///< dimension of the space that is not deflated
  Index room_ = 0;   ///< vectors multiplied before a restart
  Index block_ = 1;  ///< vectors multiplied at once
  BVHandle basis_;
  Matrix<double> projected_;  ///< row i: V^T H v_i, known once column i was multiplied
  Matrix<double> coupling_;   ///< row i: what the product with column i of the last block has of the next
  Index multiplied_ = 0;      ///< columns of the basis with a row in `projected_`
  Index width_ = 0;           ///< columns after these: the next block
  Index last_width_ = 0;      ///< columns of the block multiplied last
  std::vector<double> ritz_;  ///< the wanted end first
  Matrix<double> rotation_;   ///< row i: Ritz vector i in the basis
  RestartState state_;        ///< of the last restart but for its vectors, which the basis still holds
  Index kept_rows_ = 0;
};

ThickRestart::ThickRestart(ShellMatrix& matrix, const ThickRestartOptions& options)
    : matrix_(matrix), options_(options) {
  left_ = partition().size() - std::ssize(options.deflated);
  block_ = std::min(options.block, left_);
  room_ = std::min(std::max(options.basis, options.pairs + block_), left_);
  projected_ = Matrix<double>(room_, room_);
  coupling_ = Matrix<double>(block_, block_);
  make_basis();
}

void ThickRestart::make_basis() {
  basis_ = BVHandle::create("BVCreate", [&](BV* out) { return BVCreate(comm().get(), out); });
  check(BVSetSizes(basis_.get(), as_petsc(local()), as_petsc(partition().size()), as_petsc(room_ + block_)),
        "BVSetSizes");
  check(BVSetType(basis_.get(), BVSVEC), "BVSetType");
  check(BVSetOrthogonalization(basis_.get(), BV_ORTHOG_CGS, BV_ORTHOG_REFINE_ALWAYS, PETSC_DEFAULT,
                               BV_ORTHOG_BLOCK_GS),
        "BVSetOrthogonalization");
  std::vector<VecHandle> owned;
  std::vector<Vec> vecs;
  for (const auto& vector : options_.deflated) {
    owned.push_back(VecHandle::create("VecCreateMPIWithArray", [&](Vec* out) {
      return VecCreateMPIWithArray(comm().get(), 1, as_petsc(local()), as_petsc(partition().size()),
                                   vector.data(), out);
    }));
    vecs.push_back(owned.back().get());
  }
  auto count = as_petsc(std::ssize(vecs));
  if (count > 0) check(BVInsertConstraints(basis_.get(), &count, vecs.data()), "BVInsertConstraints");
}

void ThickRestart::draw(Index column) {
  const auto draw = static_cast<std::uint32_t>(state_.draws++);
  const Random random(options_.seed, Stream::start_vector, options_.substream + (draw << 16U));
  const auto first = static_cast<std::uint64_t>(partition().begin(comm().rank()));
  const Columns all = columns();
  const auto entries = all.rows(column, 1).row(0);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = random.normal(first + i);
}

/// Makes a column orthogonal to all before it and of unit norm. `coefficients` get what it had of these;
/// returned is its norm after that. A column that has nothing new is replaced by a random one, with norm 0;
/// by zero where the space is exhausted.
double ThickRestart::orthogonalise(Index column, std::span<double> coefficients) {
  const auto at = as_petsc(column);
  std::vector<double> first(static_cast<std::size_t>(column) + 1);
  double norm = 0;
  PetscBool dependent = PETSC_FALSE;
  check(BVOrthogonalizeColumn(basis_.get(), at, first.data(), &norm, &dependent), "BVOrthogonalizeColumn");
  std::copy_n(first.begin(), std::min(coefficients.size(), first.size()), coefficients.begin());
  if (column >= left_) {
    check(BVScaleColumn(basis_.get(), at, 0.0), "BVScaleColumn");
    return 0;
  }
  const bool replaced = dependent == PETSC_TRUE || norm == 0;
  if (replaced) {
    draw(column);
    check(BVOrthogonalizeColumn(basis_.get(), at, nullptr, &norm, nullptr), "BVOrthogonalizeColumn");
  }
  check(BVScaleColumn(basis_.get(), at, 1 / norm), "BVScaleColumn");
  return replaced ? 0 : norm;
}

void ThickRestart::begin() {
  for (width_ = 0; width_ < block_; ++width_) {
    draw(width_);
    orthogonalise(width_, {});
  }
}

void ThickRestart::continue_from(const RestartState& from) {
  state_ = from;
  state_.vectors = {};
  multiplied_ = std::ssize(from.values);
  width_ = from.vectors.rows - multiplied_;
  kept_rows_ = from.vectors.rows;
  for (Index n = 0; n < multiplied_; ++n) projected_(n, n) = from.values[static_cast<std::size_t>(n)];
  const Columns all = columns();
  for (Index row = 0; row < from.vectors.rows; ++row)
    std::ranges::copy(from.vectors.row(row), all.rows(row, 1).row(0).begin());
}

/// H times the last block, which becomes the next block and its coefficients rows of `projected_`.
void ThickRestart::multiply_block() {
  const Index next = multiplied_ + width_;
  {
    const Columns all = columns();
    matrix_.apply(all.rows(multiplied_, width_), all.rows(next, width_));
  }
  state_.products += width_;
  std::ranges::fill(coupling_.entries(), 0.0);
  std::vector<double> coefficients(static_cast<std::size_t>(next + width_));
  for (Index i = 0; i < width_; ++i) {
    coefficients[static_cast<std::size_t>(next + i)] =
        orthogonalise(next + i, std::span(coefficients).first(static_cast<std::size_t>(next + i)));
    const Index known = next + i + 1;
    std::copy_n(coefficients.begin(), std::min(known, room_), projected_.row(multiplied_ + i).begin());
    std::copy_n(coefficients.begin() + next, i + 1, coupling_.row(i).begin());
  }
  // What a restart has kept is coupled to the next block by numbers that its residuals alone have told.
  if (const Index kept = std::ssize(state_.values); multiplied_ == kept)
    for (Index n = 0; n < kept; ++n)
      for (Index row = kept; row < next; ++row) projected_(n, row) = projected_(row, n);
  last_width_ = width_;
  multiplied_ = next;
  width_ = std::min(width_, left_ - next);
}

/// Multiplies until the basis is full, or it is worth a look.
void ThickRestart::expand() {
  do multiply_block();
  while (!full() && !(options_.beyond && multiplied_ >= options_.pairs));
}

void ThickRestart::measure_asymmetry() {
  for (Index i = 0; i < multiplied_; ++i)
    for (Index j = 0; j < i; ++j)
      state_.asymmetry = std::max(state_.asymmetry, std::abs(projected_(i, j) - projected_(j, i)));
}

void ThickRestart::project() {
  matrix_.require_finite();
  measure_asymmetry();
  rotation_ = Matrix<double>(multiplied_, multiplied_);
  for (Index i = 0; i < multiplied_; ++i)
    std::copy_n(projected_.row(i).begin(), i + 1, rotation_.row(i).begin());
  // One rank decides for all: another processor might round otherwise.
  on_root(comm(), [&] { ritz_ = symmetric_eigen(rotation_.view()); });
  comm().broadcast(ritz_);
  comm().broadcast(rotation_.entries());
  if (options_.largest) {
    std::ranges::reverse(ritz_);
    for (Index i = 0, j = multiplied_ - 1; i < j; ++i, --j)
      std::ranges::swap_ranges(rotation_.row(i), rotation_.row(j));
  }
  for (const double value : {ritz_.front(), ritz_.back()})
    state_.norm_estimate = std::max(state_.norm_estimate, std::abs(value));
}

/// Norm of the next block's share in H v: the coupling applied to the last entries of v in the basis.
double ThickRestart::residual(Index pair) const {
  const auto last = rotation_.row(pair).last(static_cast<std::size_t>(last_width_));
  double square = 0;
  for (Index j = 0; j < last_width_; ++j) {
    double share = 0;
    for (Index i = j; i < last_width_; ++i) share += coupling_(i, j) * last[static_cast<std::size_t>(i)];
    square += share * share;
  }
  return std::sqrt(square);
}

/// Whether the start vector would have told of an eigenvalue beyond the value asked about.
bool ThickRestart::nothing_beyond() const {
  const bool lanczos = block_ == 1 && state_.cycle == 0 && state_.draws == 1;
  if (!options_.beyond || !lanczos) return false;
  const double b = *options_.beyond;
  if (options_.largest ? b <= ritz_.front() : b >= ritz_.front()) return false;
  const double enough =
      2 * static_cast<double>(left_) / (std::numbers::pi * chance_of_a_miss * chance_of_a_miss);
  double before = 0, p = 1, sum = 1;
  for (Index j = 1; j < multiplied_ && sum < enough; ++j) {
    const double coupled = j > 1 ? projected_(j - 1, j - 2) : 0.0;
    const double next = ((b - projected_(j - 1, j - 1)) * p - coupled * before) / projected_(j, j - 1);
    before = std::exchange(p, next);
    sum += p * p;
  }
  return sum >= enough;
}

/// Pairs converged from the wanted end on.
Index ThickRestart::converged() const {
  Index n = 0;
  for (; n < multiplied_; ++n) {
    const double estimate = residual(n);
    if (estimate <= options_.tolerance * state_.norm_estimate) continue;
    if (!options_.beyond) break;
    const double short_of = *options_.beyond - ritz_[static_cast<std::size_t>(n)];
    if (10 * estimate >= (options_.largest ? short_of : -short_of)) break;
  }
  return n;
}

/// Before a basis is full, few products tell little of what a residual's tenth would settle.
Index ThickRestart::settled() const {
  if (nothing_beyond()) return std::max(converged(), std::min(options_.pairs, multiplied_));
  return options_.beyond && !full() ? 0 : converged();
}

/// The first `kept` Ritz vectors take the place of the basis.
void ThickRestart::rotate(Index kept) {
  const auto q = MatHandle::create("MatCreateSeqDense", [&](Mat* out) {
    return MatCreateSeqDense(PETSC_COMM_SELF, as_petsc(multiplied_), as_petsc(kept), rotation_.data(), out);
  });
  check(BVSetActiveColumns(basis_.get(), 0, as_petsc(multiplied_)), "BVSetActiveColumns");
  check(BVMultInPlace(basis_.get(), q.get(), 0, as_petsc(kept)), "BVMultInPlace");
}

void ThickRestart::restart(Index converged) {
  const auto open = static_cast<double>(multiplied_ - converged);
  const auto thick = static_cast<Index>(options_.keep * open);
  const Index kept = std::min(converged + std::max<Index>(1, thick), room_ - width_);
  rotate(kept);
  for (Index i = 0; i < width_; ++i)
    check(BVCopyColumn(basis_.get(), as_petsc(multiplied_ + i), as_petsc(kept + i)), "BVCopyColumn");
  std::ranges::fill(projected_.entries(), 0.0);
  for (Index n = 0; n < kept; ++n) projected_(n, n) = ritz_[static_cast<std::size_t>(n)];
  ++state_.cycle;
  state_.values.assign(ritz_.begin(), ritz_.begin() + kept);
  multiplied_ = kept;
  kept_rows_ = kept + width_;
}

void ThickRestart::report(bool stopping) const {
  if (!options_.on_restart) return;
  const Columns all = columns();
  RestartState state = state_;
  state.vectors = all.rows(0, kept_rows_);
  options_.on_restart(state, stopping);
}

std::vector<RitzPair> ThickRestart::take(Index count) {
  if (count == 0) return {};
  rotate(count);
  std::vector<RitzPair> pairs;
  const Columns all = columns();
  for (Index n = 0; n < count; ++n) {
    const auto entries = all.rows(n, 1).row(0);
    pairs.push_back({.value = ritz_[static_cast<std::size_t>(n)],
                     .residual = residual(n),
                     .vector = {entries.begin(), entries.end()}});
  }
  return pairs;
}

ThickRestartResult ThickRestart::solve(const RestartState& from) {
  state_.norm_estimate = options_.norm_estimate;
  if (from.vectors.rows > 0)
    continue_from(from);
  else
    begin();
  RestartState last = state_;
  for (;;) {
    try {
      expand();
    } catch (const Interrupted&) {
      state_ = last;
      report(true);
      throw;
    }
    project();
    const Index count = settled();
    if (options_.on_look) options_.on_look(count);
    const bool enough = count >= options_.pairs || width_ == 0;
    const bool over = options_.max_products > 0 && state_.products >= options_.max_products;
    if (enough || (full() && over))
      return {.pairs = take(std::min(count, options_.pairs + surplus)),
              .products = state_.products,
              .norm_estimate = state_.norm_estimate,
              .asymmetry = state_.asymmetry};
    if (!full()) continue;
    restart(count);
    last = state_;
    report(false);
  }
}

}  // namespace

ThickRestartResult thick_restart(ShellMatrix& matrix, const ThickRestartOptions& options,
                                 const RestartState& from) {
  try {
    return ThickRestart(matrix, options).solve(from);
  } catch (const CallError&) {
    matrix.require_finite();
    throw;
  }
}

}  // namespace dualscape::petsc
