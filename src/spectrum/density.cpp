#include "dualscape/spectrum/density.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/rounding.hpp"
#include "probes.hpp"

namespace dualscape::spectrum {
namespace {

/// The tridiagonal matrices of some probes' Lanczos runs, made side by side.
class ProbeLanczos {
 public:
  ProbeLanczos(const LinearOperator& op, const DensityOptions& options, Index first, Index probes,
               Index steps)
      : op_(op),
        options_(options),
        steps_(steps),
        local_(op.range().count(op.comm().rank())),
        alpha_(probes, steps),
        beta_(probes, steps) {
    // Products round at the size of H, whatever is left of it.
    double largest = 0;
    for (double value : options.known.values) largest = std::max(largest, std::abs(value));
    scale_.assign(static_cast<std::size_t>(probes), largest);
    Matrix<double> starts(probes, local_);
    draw_directions(op.comm(), options.seed, Stream::density_probe, first, op.range().begin(op.comm().rank()),
                    options.known.vectors, starts.view());
    for (Index p = 0; p < probes; ++p) {
      basis_.emplace_back(steps, local_);
      std::ranges::copy(starts.row(p), basis_.back().row(0).begin());
      active_.push_back(p);
    }
    lengths_.resize(static_cast<std::size_t>(probes));
  }

  /// `made`: products made so far, kept up to date.
  void run(Index& made) {
    for (Index step = 0; step < steps_ && !active_.empty(); ++step) {
      Matrix<double> in(std::ssize(active_), local_);
      Matrix<double> out(in.rows(), local_);
      for (Index i = 0; i < in.rows(); ++i) std::ranges::copy(basis_of(i).row(step), in.row(i).begin());
      op_.apply(in.view(), out.view());
      made += in.rows();
      if (options_.monitor) options_.monitor(made);
      orthogonalise(step, out.view());
      advance(step, out.view());
    }
  }

  /// Nodes and weights of probe p, ascending. For rank 0.
  std::pair<std::vector<double>, std::vector<double>> quadrature(Index p) const {
    const Index length = lengths_[static_cast<std::size_t>(p)];
    Matrix<double> tridiagonal(length, length);
    for (Index i = 0; i < length; ++i) {
      tridiagonal(i, i) = alpha_(p, i);
      if (i + 1 < length) tridiagonal(i + 1, i) = tridiagonal(i, i + 1) = beta_(p, i);
    }
    auto nodes = symmetric_eigen(tridiagonal.view());
    std::vector<double> weights;
    for (Index i = 0; i < length; ++i) weights.push_back(tridiagonal(i, 0) * tridiagonal(i, 0));
    return {std::move(nodes), std::move(weights)};
  }

 private:
  Matrix<double>& basis_of(Index active) {
    return basis_[static_cast<std::size_t>(active_[static_cast<std::size_t>(active)])];
  }

  /// Takes from each product what it has of the known pairs and of its own basis, twice, all probes in one
  /// message a time.
  void orthogonalise(Index step, MultiVector products) {
    Matrix<double> along(products.rows, step + 1);
    for (int pass = 0; pass < 2; ++pass) {
      project_off(op_.comm(), options_.known.vectors, products);
      for (Index i = 0; i < products.rows; ++i)
        gemm(Op::none, Op::transpose, 1.0, ConstMultiVector(products.rows_from(i, 1)),
             ConstMultiVector(basis_of(i).top(step + 1)), 0.0, along.view().rows_from(i, 1));
      sum_over_ranks(op_.comm(), along.entries());
      for (Index i = 0; i < products.rows; ++i) {
        gemm(Op::none, Op::none, -1.0, ConstMultiVector(along.view().rows_from(i, 1)),
             ConstMultiVector(basis_of(i).top(step + 1)), 1.0, products.rows_from(i, 1));
        alpha_(active_[static_cast<std::size_t>(i)], step) += along(i, step);
      }
    }
  }

  /// Makes the next vectors of those probes whose Krylov space goes on.
  void advance(Index step, ConstMultiVector products) {
    auto squares = row_dots(op_.comm(), products, products);
    op_.comm().broadcast(std::span<double>(squares));  // one rank decides for all
    std::vector<Index> going_on;
    for (Index i = 0; i < products.rows; ++i) {
      const Index p = active_[static_cast<std::size_t>(i)];
      const double beta = std::sqrt(squares[static_cast<std::size_t>(i)]);
      if (!std::isfinite(beta))
        throw ComputationError(
            "a product for the density holds numbers that are not finite (NaN or infinity): the weights or "
            "the data may be too large");
      lengths_[static_cast<std::size_t>(p)] = step + 1;
      double& scale = scale_[static_cast<std::size_t>(p)];
      scale = std::max({scale, std::abs(alpha_(p, step)), beta});
      // What is left is a product's rounding (the floor of the eigenpairs' bounds): the space is invariant.
      if (beta <= residual_floor(scale, options_.rounding) || step + 1 == steps_) continue;
      beta_(p, step) = beta;
      std::ranges::transform(products.row(i), basis_of(i).row(step + 1).begin(),
                             [&](double x) { return x / beta; });
      going_on.push_back(p);
    }
    active_ = std::move(going_on);
  }

  const LinearOperator& op_;
  const DensityOptions& options_;
  Index steps_;
  Index local_;
  std::vector<Matrix<double>> basis_;  ///< of each probe, steps x local
  Matrix<double> alpha_;
  Matrix<double> beta_;
  std::vector<double> scale_;
  std::vector<Index> active_;
  std::vector<Index> lengths_;
};

/// Share of the eigenvalues that the known pairs leave.
double share_left(const Density& result) {
  return static_cast<double>(result.size - result.pairs) / static_cast<double>(result.size);
}

void find_quadratures(const LinearOperator& op, const DensityOptions& options, Density& result) {
  Quadratures& made = result.quadratures;
  const Index steps = made.nodes.cols();
  constexpr Index entries = Index{1} << 27;
  const Index most = options.together > 0 ? options.together : options.probes;
  const Index together = std::clamp<Index>(entries / (steps * result.size), 1, most);
  while (made.probes < options.probes) {
    const Index count = std::min(together, options.probes - made.probes);
    ProbeLanczos lanczos(op, options, made.probes, count, steps);
    lanczos.run(made.matvecs);
    on_root(op.comm(), [&] {
      for (Index p = 0; p < count; ++p) {
        auto [nodes, weights] = lanczos.quadrature(p);
        for (double& weight : weights) weight *= share_left(result);
        std::ranges::copy(nodes, made.nodes.row(made.probes + p).begin());
        std::ranges::copy(weights, made.weights.row(made.probes + p).begin());
      }
    });
    op.comm().broadcast(made.nodes.entries());
    op.comm().broadcast(made.weights.entries());
    made.probes += count;
    if (options.on_probes) options.on_probes(made);
  }
}

/// x^T A^power x of each probe x.
std::vector<double> moments(const Density& result, int power) {
  std::vector<double> all;
  for (Index p = 0; p < result.quadratures.probes; ++p) {
    double sum = 0;
    for (Index i = 0; i < result.quadratures.nodes.cols(); ++i)
      sum += result.quadratures.weights(p, i) * std::pow(result.quadratures.nodes(p, i), power);
    all.push_back(sum / share_left(result));
  }
  return all;
}

void find_moments(const KnownPairs& known, Density& result) {
  const Index left = result.size - result.pairs;
  double sum = 0, square = 0, bound = 0;
  for (std::size_t n = 0; n < known.values.size(); ++n) {
    const double residual = known.residuals[n] * known.residuals[n];
    sum += known.values[n];
    square += known.values[n] * known.values[n] + residual;
    bound += residual / 2;
  }
  Estimate trace{.value = sum}, of_square{.value = square};
  if (left > 0) {
    square += bound;
    const auto count = static_cast<double>(left);
    const auto second = moments(result, 2);
    trace = added(sum, count, mean_on_sphere(moments(result, 1), second, left));
    of_square = added(square, count, mean_on_sphere(second, moments(result, 4), left));
    of_square.error += bound;
  }
  result.trace = trace;
  result.frobenius = root_of(of_square);
}

void make_grid(const DensityOptions& options, Density& result) {
  const double width = options.width;
  double lowest = 0, highest = 0;
  for (std::span<const double> some :
       {std::as_const(result.quadratures.nodes).entries(), options.known.values})
    for (double node : some) {
      lowest = std::min(lowest, node);
      highest = std::max(highest, node);
    }
  const double largest = std::max(highest, -lowest);
  // An operator that is zero has its whole density at 0, at any scale.
  const double s = result.linear_scale = largest > 0 ? options.linear * largest : 1.0;
  // Eight deviations out nothing is left of a Gaussian; steps of half a deviation integrate it to rounding.
  const auto out = [&](double node) { return 8 * width * std::hypot(node, s); };
  const double from = std::asinh((lowest - out(lowest)) / s);
  const double to = std::asinh((highest + out(highest)) / s);
  const auto intervals = static_cast<Index>(std::ceil((to - from) / (width / 2)));
  for (Index i = 0; i <= intervals; ++i)
    result.grid.push_back(
        s * std::sinh(from + (to - from) * static_cast<double>(i) / static_cast<double>(intervals)));
}

/// Calls add(grid point, height) for a Gaussian around `node`, wherever that is not 0 in double precision.
template <class Add>
void draw_peak(double width, double node, const Density& result, const Add& add) {
  const double deviation = width * std::hypot(node, result.linear_scale);
  const double height = 1 / (deviation * std::sqrt(2 * std::numbers::pi));
  const auto begin = std::ranges::lower_bound(result.grid, node - 39 * deviation) - result.grid.begin();
  for (auto at = static_cast<std::size_t>(begin); at < result.grid.size(); ++at) {
    const double x = (result.grid[at] - node) / deviation;
    if (x > 39) break;
    add(static_cast<Index>(at), height * std::exp(-x * x / 2));
  }
}

/// At each grid point the density is x^T g(A) x with g that point's Gaussians, and has their variance.
void draw_density(const DensityOptions& options, Density& result) {
  const Quadratures& made = result.quadratures;
  const double left = share_left(result);
  std::vector<double> of_pairs(result.grid.size());
  for (double value : options.known.values)
    draw_peak(options.width, value, result, [&](Index at, double height) {
      of_pairs[static_cast<std::size_t>(at)] += height / static_cast<double>(result.size);
    });
  Matrix<double> each(std::ssize(result.grid), made.probes), squares(each.rows(), each.cols());
  for (Index p = 0; p < made.probes; ++p)
    for (Index i = 0; i < made.nodes.cols(); ++i) {
      if (made.weights(p, i) == 0) continue;
      const double weight = made.weights(p, i) / left;
      draw_peak(options.width, made.nodes(p, i), result, [&](Index at, double height) {
        each(at, p) += weight * height;
        squares(at, p) += weight * height * height;
      });
    }
  for (Index at = 0; at < each.rows(); ++at) {
    const Estimate estimate =
        added(of_pairs[static_cast<std::size_t>(at)], left,
              mean_on_sphere(each.row(at), squares.row(at), result.size - result.pairs));
    result.density.push_back(estimate.value);
    result.error.push_back(estimate.error);
  }
}

}  // namespace

Density estimate_density(const LinearOperator& op, const DensityOptions& options) {
  Density result;
  result.size = op.range().size();
  result.pairs = options.known.vectors.rows;
  const Index left = result.size - result.pairs;
  const Index steps = std::max<Index>(std::min(options.steps, left), 1);
  result.quadratures = options.from;
  if (options.from.probes == 0) {
    result.quadratures.nodes = Matrix<double>(options.probes, steps);
    result.quadratures.weights = Matrix<double>(options.probes, steps);
    if (left == 0) result.quadratures.probes = options.probes;
  }
  find_quadratures(op, options, result);
  find_moments(options.known, result);
  make_grid(options, result);
  draw_density(options, result);
  return result;
}

}  // namespace dualscape::spectrum
