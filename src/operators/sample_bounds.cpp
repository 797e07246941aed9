#include "dualscape/operators/sample_bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "dualscape/base/blas.hpp"

namespace dualscape::operators {
namespace {

/// Rows passed backward at once for a sample: bounds the scratch where the classes are many.
constexpr Index rows_at_once = 16;
/// Rows of a sample passed all the way where p says which of them matter.
constexpr Index rows_that_matter = 2;

template <class Real>
double squares(std::span<const Real> x) {
  double sum = 0;
  for (const Real value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

template <class Real>
double largest_magnitude(std::span<const Real> x) {
  double most = 0;
  for (const Real value : x) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

template <class Real>
Index largest_entry(std::span<const Real> x) {
  return std::ranges::max_element(x) - x.begin();
}

/// Bound (1) of one sample; `k2`: the squares of the rows' norms.
template <class Real>
double loss_part(Loss loss, bool whole, std::span<const Real> p, std::span<const Real> gradient,
                 std::span<const double> k2) {
  const double factor = 2.0 / static_cast<double>(k2.size());
  double sum = 0;
  switch (loss) {
    case Loss::cross_entropy:
      for (std::size_t c = 0; c < k2.size(); ++c) sum += static_cast<double>(p[c]) * k2[c];
      return sum;
    case Loss::mse:
      return factor * std::accumulate(k2.begin(), k2.end(), 0.0);
    case Loss::softmax_mse:
      break;
  }
  double kappa = 0;
  for (std::size_t c = 0; c < k2.size(); ++c) kappa += static_cast<double>(p[c]) * std::sqrt(k2[c]);
  for (std::size_t c = 0; c < k2.size(); ++c)
    sum += factor * std::pow(static_cast<double>(p[c]) * (std::sqrt(k2[c]) + kappa), 2);
  if (!whole) return sum;
  for (std::size_t c = 0; c < k2.size(); ++c) {
    // The loss' gradient has the factor 2/C already.
    const double g = std::abs(static_cast<double>(gradient[c]));
    sum += g * k2[c] + 2 * g * std::sqrt(k2[c]) * kappa;
  }
  return sum;
}

template <class Real>
class Bounder {
 public:
  Bounder(Curvature kind, const nn::Linearisation<Real>& linearisation, const nn::BlockLayout& block)
      : kind_(kind), model_(linearisation.model()), net_(model_.network()), block_(block) {
    weight_norm_.resize(static_cast<std::size_t>(net_.depth()));
    few_matter_ = net_.loss() == Loss::cross_entropy && net_.outputs() > rows_that_matter + 1 &&
                  block.first_layer() < net_.depth() - 2 && kind != Curvature::empirical_fisher;
    if (kind != Curvature::hessian && !few_matter_) return;
    // Only layers between two others join them.
    for (Index l = block.first_layer() + 1; l + 1 < net_.depth(); ++l) weight_norm_[at(l)] = norm_of(l);
  }

  /// Appends the bounds of a tile's samples.
  void append(const nn::Tile<Real>& tile, std::vector<double>& bounds) {
    alpha2_ = Matrix<double>(tile.count, net_.depth());
    for (Index i = 0; i < tile.count; ++i)
      for (Index l = 0; l < net_.depth(); ++l) alpha2_(i, l) = entering_squares(tile, i, l);
    if (kind_ != Curvature::empirical_fisher) sum_row_norms(tile);
    for (Index i = 0; i < tile.count; ++i) {
      const double bound = bound_of(tile, i);
      bounds.push_back(std::isnan(bound) ? std::numeric_limits<double>::infinity() : bound);
    }
  }

 private:
  static std::size_t at(Index l) { return static_cast<std::size_t>(l); }
  bool has_weight(Index l) const { return block_.weight_offset[at(l)] != nn::BlockLayout::absent; }
  bool has_bias(Index l) const { return block_.bias_offset[at(l)] != nn::BlockLayout::absent; }

  double norm_of(Index l) const {
    const nn::Layer& layer = net_.layer(l);
    if (layer.kind != LayerKind::dense)
      throw std::logic_error("sample_bounds: layer '" + layer.name + "' is not dense");
    const auto weight = model_.weight(l);
    const std::vector<double> wide(weight.begin(), weight.end());
    return spectral_norm_bound({wide.data(), layer.out, layer.in});
  }

  double entering_squares(const nn::Tile<Real>& tile, Index i, Index l) const {
    return (has_weight(l) ? squares(tile.a[at(l)].row(i)) : 0.0) + (has_bias(l) ? 1.0 : 0.0);
  }

  /// `rows` classes of each sample of a tile, one sample after the other.
  struct Rows {
    std::vector<Index> classes;
    Index rows;
  };
  Rows all_from(const nn::Tile<Real>& tile, Index first) const;
  Rows largest_of(const nn::Tile<Real>& tile) const;
  /// Bounds on k_c^2 of each sample and class.
  void sum_row_norms(const nn::Tile<Real>& tile);
  template <class Use>
  void pass_down(const nn::Tile<Real>& tile, const Rows& rows, Index lowest, const Use& use) const;
  void add_row_norms(const nn::Tile<Real>& tile, const Rows& rows, Index lowest);
  double below(const nn::Tile<Real>& tile, Index i, Index layer) const;
  double bound_of(const nn::Tile<Real>& tile, Index i) const;
  double second_order_part(const nn::Tile<Real>& tile, Index i) const;

  Curvature kind_;
  const nn::Model<Real>& model_;
  const nn::Network& net_;
  const nn::BlockLayout& block_;
  std::vector<double> weight_norm_;
  bool few_matter_ = false;  ///< of the classes, rows_that_matter; the others' rows need no pass of their own
  Matrix<double> alpha2_;    ///< samples x layers
  Matrix<double> k2_;        ///< samples x classes
};

template <class Real>
auto Bounder<Real>::all_from(const nn::Tile<Real>& tile, Index first) const -> Rows {
  Rows all{.classes = {}, .rows = std::min(rows_at_once, net_.outputs() - first)};
  for (Index i = 0; i < tile.count; ++i)
    for (Index c = 0; c < all.rows; ++c) all.classes.push_back(first + c);
  return all;
}

/// The classes of the largest p_c k_c^2.
template <class Real>
auto Bounder<Real>::largest_of(const nn::Tile<Real>& tile) const -> Rows {
  Rows largest{.classes = {}, .rows = rows_that_matter};
  std::vector<Index> order(static_cast<std::size_t>(net_.outputs()));
  for (Index i = 0; i < tile.count; ++i) {
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::partial_sort(order, order.begin() + rows_that_matter, std::greater<>(),
                              [&](Index c) { return static_cast<double>(tile.p(i, c)) * k2_(i, c); });
    largest.classes.insert(largest.classes.end(), order.begin(), order.begin() + rows_that_matter);
  }
  return largest;
}

/// Calls use(l, d) from the last layer down to `lowest`, d the rows of d f_c / d z^l, one after the other.
template <class Real>
template <class Use>
void Bounder<Real>::pass_down(const nn::Tile<Real>& tile, const Rows& rows, Index lowest,
                              const Use& use) const {
  const bool shifted = net_.loss() != Loss::mse;  // S 1 = 0
  Matrix<Real> d(tile.count * rows.rows, net_.outputs());
  for (Index row = 0; row < d.rows(); ++row) {
    d(row, rows.classes[at(row)]) += Real(1);
    if (shifted) d(row, largest_entry(tile.p.row(row / rows.rows))) -= Real(1);
  }
  for (Index l = net_.depth() - 1;; --l) {
    use(l, d);
    if (l == lowest) return;
    Matrix<Real> lower(d.rows(), net_.layer(l).in);
    model_.map(l).adjoint_input(model_.weight(l), d.view(), nn::Write::replace, lower.view());
    for (Index row = 0; row < d.rows(); ++row)
      std::ranges::transform(lower.row(row), tile.d1[at(l - 1)].row(row / rows.rows), lower.row(row).begin(),
                             std::multiplies<>());
    d = std::move(lower);
  }
}

/// What the layers below `layer` add to k_c^2 at most, in |D_c^layer|^2.
template <class Real>
double Bounder<Real>::below(const nn::Tile<Real>& tile, Index i, Index layer) const {
  double sum = 0;
  double reach = 1;
  for (Index l = layer; l > block_.first_layer(); --l) {
    reach *= std::pow(weight_norm_[at(l)] * largest_magnitude<Real>(tile.d1[at(l - 1)].row(i)), 2);
    sum += reach * alpha2_(i, l - 1);
  }
  return sum;
}

/// Adds to k2_ what rows have down to `lowest`, and a bound for what is below.
template <class Real>
void Bounder<Real>::add_row_norms(const nn::Tile<Real>& tile, const Rows& rows, Index lowest) {
  pass_down(tile, rows, lowest, [&](Index l, const Matrix<Real>& d) {
    for (Index i = 0; i < tile.count; ++i) {
      const double factor = alpha2_(i, l) + (l == lowest ? below(tile, i, l) : 0.0);
      for (Index row = i * rows.rows; factor > 0 && row < (i + 1) * rows.rows; ++row)
        k2_(i, rows.classes[at(row)]) += factor * squares<Real>(d.row(row));
    }
  });
}

template <class Real>
void Bounder<Real>::sum_row_norms(const nn::Tile<Real>& tile) {
  k2_ = Matrix<double>(tile.count, net_.outputs());
  // Passes through the last layer cost little.
  const Index lowest = few_matter_ ? net_.depth() - 2 : block_.first_layer();
  for (Index first = 0; first < net_.outputs(); first += rows_at_once)
    add_row_norms(tile, all_from(tile, first), lowest);
  if (!few_matter_) return;
  const Rows largest = largest_of(tile);
  for (Index row = 0; row < std::ssize(largest.classes); ++row)
    k2_(row / largest.rows, largest.classes[at(row)]) = 0;
  add_row_norms(tile, largest, block_.first_layer());
}

template <class Real>
double Bounder<Real>::bound_of(const nn::Tile<Real>& tile, Index i) const {
  if (kind_ == Curvature::empirical_fisher) {
    double square = 0;
    for (Index l = 0; l < net_.depth(); ++l) square += alpha2_(i, l) * squares(tile.d[at(l)].row(i));
    return square;
  }
  const bool whole = kind_ == Curvature::hessian;
  const double first = loss_part<Real>(net_.loss(), whole, tile.p.row(i), tile.d.back().row(i), k2_.row(i));
  return whole ? first + second_order_part(tile, i) : first;
}

/// Bounds (2) and (3).
template <class Real>
double Bounder<Real>::second_order_part(const nn::Tile<Real>& tile, Index i) const {
  double cross2 = 0;
  double curved = 0;
  // reach[m]: |B_lm| of the current layer l; passed through sigma_l it is |A_lm|.
  std::vector<double> reach(at(net_.depth()));
  for (Index l = block_.first_layer(); l < net_.depth(); ++l) {
    if (has_weight(l))
      for (Index m = 0; m < l; ++m)
        cross2 += squares(tile.d[at(l)].row(i)) * std::pow(reach[at(m)], 2) * alpha2_(i, m);
    if (l + 1 == net_.depth()) break;
    for (Index m = 0; m < l; ++m) reach[at(m)] *= weight_norm_[at(l)];
    reach[at(l)] = 1;
    if (tile.d2[at(l)].rows() > 0) {
      double square = 0;
      for (Index m = 0; m <= l; ++m) square += std::pow(reach[at(m)], 2) * alpha2_(i, m);
      curved += largest_magnitude(tile.d2[at(l)].row(i)) * square;
    }
    const double slope = largest_magnitude(tile.d1[at(l)].row(i));
    for (Index m = 0; m <= l; ++m) reach[at(m)] *= slope;
  }
  return std::sqrt(2 * cross2) + curved;
}

}  // namespace

double spectral_norm_bound(ConstMatrixView<double> weight) {
  constexpr int squarings = 5;
  const bool wide = weight.rows < weight.cols;
  const Index n = std::min(weight.rows, weight.cols);
  Matrix<double> power(n, n);
  Matrix<double> square(n, n);
  gemm<double>(wide ? Op::none : Op::transpose, wide ? Op::transpose : Op::none, 1.0, weight, weight, 0.0,
               power.view());
  // |G| = f |G / f| and |G / f| = |(G / f)^2|^(1/2), and so on; the last norm is at most Frobenius' 1.
  double logarithm = 0;
  double exponent = 0.5;
  for (int step = 0;; ++step) {
    const double frobenius = std::sqrt(squares<double>(power.entries()));
    if (frobenius == 0) return 0;
    logarithm += exponent * std::log(frobenius);
    if (step == squarings) break;
    for (double& x : power.entries()) x /= frobenius;
    gemm<double>(Op::none, Op::transpose, 1.0, power.view(), power.view(), 0.0, square.view());
    std::swap(power, square);
    exponent /= 2;
  }
  // Rounding of the products, each some n eps of the norm.
  return std::exp(logarithm) * (1 + 100 * static_cast<double>(n) * std::numeric_limits<double>::epsilon());
}

template <class Real>
std::vector<double> sample_bounds(Curvature kind, const nn::Linearisation<Real>& linearisation,
                                  const nn::BlockLayout& block) {
  if (kind == Curvature::gradient_covariance)
    throw std::logic_error("sample_bounds: a sample's part in the gradient covariance needs the others");
  const Comm& comm = linearisation.comm();
  const Lanes& lanes = linearisation.lanes();
  std::vector<double> own;
  collectively(comm, [&] {
    Bounder<Real> bounder(kind, linearisation, block);
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane)
      linearisation.for_each_tile(lane, [&](const nn::Tile<Real>& tile) { bounder.append(tile, own); });
  });
  std::vector<int> counts;
  std::vector<int> starts;
  for (int rank = 0; rank < comm.size(); ++rank) {
    starts.push_back(static_cast<int>(lanes.first_sample(rank, comm.size())));
    counts.push_back(static_cast<int>(lanes.first_sample(rank + 1, comm.size())) - starts.back());
  }
  std::vector<double> all(static_cast<std::size_t>(lanes.samples()));
  MPI_Allgatherv(own.data(), static_cast<int>(own.size()), MPI_DOUBLE, all.data(), counts.data(),
                 starts.data(), MPI_DOUBLE, comm.get());
  return all;
}

namespace {

/// Positions by ascending bound, of equal ones the earlier first.
std::vector<Index> ascending(std::span<const double> bounds) {
  std::vector<Index> order(bounds.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, {}, [&](Index p) { return bounds[static_cast<std::size_t>(p)]; });
  return order;
}

}  // namespace

SampleChoice choose_samples(std::span<const double> bounds, double budget) {
  const std::vector<Index> order = ascending(bounds);
  const auto all = static_cast<double>(bounds.size());
  SampleChoice choice;
  double sum = 0;
  while (choice.dropped + 1 < std::ssize(bounds)) {
    sum += bounds[static_cast<std::size_t>(order[static_cast<std::size_t>(choice.dropped)])];
    if (!(sum / all <= budget)) break;
    choice.bound = sum / all;
    ++choice.dropped;
  }
  choice.kept.assign(order.begin() + choice.dropped, order.end());
  std::ranges::sort(choice.kept);
  return choice;
}

std::vector<Index> largest_samples(std::span<const double> bounds, Index count) {
  std::vector<Index> order = ascending(bounds);
  order.erase(order.begin(), order.end() - std::min(count, std::ssize(order)));
  std::ranges::sort(order);
  return order;
}

template std::vector<double> sample_bounds<double>(Curvature, const nn::Linearisation<double>&,
                                                   const nn::BlockLayout&);
template std::vector<double> sample_bounds<float>(Curvature, const nn::Linearisation<float>&,
                                                  const nn::BlockLayout&);

}  // namespace dualscape::operators
