#include "dualscape/spectrum/density.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
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
        beta_(probes, steps),
        scale_(static_cast<std::size_t>(probes)) {
    Matrix<double> signs(probes, local_);
    draw_signs(options.seed, Stream::density_probe, first, op.range().begin(op.comm().rank()), signs.view());
    const double length = std::sqrt(static_cast<double>(op.range().size()));
    for (Index p = 0; p < probes; ++p) {
      basis_.emplace_back(steps, local_);
      std::ranges::transform(signs.row(p), basis_.back().row(0).begin(),
                             [&](double x) { return x / length; });
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

  /// Takes from each product what it has of its own basis, twice, all probes in one message a time.
  void orthogonalise(Index step, MultiVector products) {
    Matrix<double> along(products.rows, step + 1);
    for (int pass = 0; pass < 2; ++pass) {
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
      if (beta <= 50 * options_.rounding * scale || step + 1 == steps_) continue;
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

void find_quadratures(const LinearOperator& op, const DensityOptions& options, Density& result) {
  const Index steps = result.nodes.cols();
  constexpr Index entries = Index{1} << 27;
  const Index together = std::clamp<Index>(entries / (steps * result.size), 1, options.probes);
  for (Index first = 0; first < options.probes; first += together) {
    const Index count = std::min(together, options.probes - first);
    ProbeLanczos lanczos(op, options, first, count, steps);
    lanczos.run(result.matvecs);
    on_root(op.comm(), [&] {
      for (Index p = 0; p < count; ++p) {
        const auto [nodes, weights] = lanczos.quadrature(p);
        std::ranges::copy(nodes, result.nodes.row(first + p).begin());
        std::ranges::copy(weights, result.weights.row(first + p).begin());
      }
    });
  }
  op.comm().broadcast(result.nodes.entries());
  op.comm().broadcast(result.weights.entries());
}

void find_moments(Density& result) {
  std::vector<double> first, second;
  const auto size = static_cast<double>(result.size);
  for (Index p = 0; p < result.nodes.rows(); ++p) {
    double m1 = 0, m2 = 0;
    for (Index i = 0; i < result.nodes.cols(); ++i) {
      const double share = result.weights(p, i) * result.nodes(p, i);
      m1 += share;
      m2 += share * result.nodes(p, i);
    }
    first.push_back(size * m1);
    second.push_back(size * m2);
  }
  result.trace = mean_of(first);
  result.frobenius = root_of(mean_of(second));
}

void make_grid(double width, double linear, Density& result) {
  double lowest = 0, highest = 0;
  for (double node : result.nodes.entries()) {
    lowest = std::min(lowest, node);
    highest = std::max(highest, node);
  }
  const double largest = std::max(highest, -lowest);
  // An operator that is zero has its whole density at 0, at any scale.
  const double s = result.linear_scale = largest > 0 ? linear * largest : 1.0;
  // Eight deviations out nothing is left of a Gaussian; steps of half a deviation integrate it to rounding.
  const auto out = [&](double node) { return 8 * width * std::hypot(node, s); };
  const double from = std::asinh((lowest - out(lowest)) / s);
  const double to = std::asinh((highest + out(highest)) / s);
  const auto intervals = static_cast<Index>(std::ceil((to - from) / (width / 2)));
  for (Index i = 0; i <= intervals; ++i)
    result.grid.push_back(
        s * std::sinh(from + (to - from) * static_cast<double>(i) / static_cast<double>(intervals)));
}

/// Gaussians around the nodes; those that are 0 at a grid point in double precision are not visited.
void draw_density(double width, Density& result) {
  const auto points = result.grid.size();
  Matrix<double> each(std::ssize(result.grid), result.nodes.rows());
  for (Index p = 0; p < result.nodes.rows(); ++p)
    for (Index i = 0; i < result.nodes.cols(); ++i) {
      const double weight = result.weights(p, i);
      if (weight == 0) continue;
      const double node = result.nodes(p, i);
      const double deviation = width * std::hypot(node, result.linear_scale);
      const double height = weight / (deviation * std::sqrt(2 * std::numbers::pi));
      const auto begin = std::ranges::lower_bound(result.grid, node - 39 * deviation) - result.grid.begin();
      for (auto at = static_cast<std::size_t>(begin); at < points; ++at) {
        const double x = (result.grid[at] - node) / deviation;
        if (x > 39) break;
        each(static_cast<Index>(at), p) += height * std::exp(-x * x / 2);
      }
    }
  for (Index at = 0; at < each.rows(); ++at) {
    const Estimate estimate = mean_of(each.row(at));
    result.density.push_back(estimate.value);
    result.error.push_back(estimate.error);
  }
}

}  // namespace

Density estimate_density(const LinearOperator& op, const DensityOptions& options) {
  Density result;
  result.size = op.range().size();
  const Index steps = std::min(options.steps, result.size);
  result.nodes = Matrix<double>(options.probes, steps);
  result.weights = Matrix<double>(options.probes, steps);
  find_quadratures(op, options, result);
  find_moments(result);
  make_grid(options.width, options.linear, result);
  draw_density(options.width, result);
  return result;
}

}  // namespace dualscape::spectrum
