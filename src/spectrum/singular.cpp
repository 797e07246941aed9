#include "dualscape/spectrum/singular.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "dualscape/petsc/singular.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "probes.hpp"

namespace dualscape::spectrum {
namespace {

struct Certified {
  double value;
  double right_residual;
  double left_residual;
};

/// |product_j - s_j of_j| of every row; the products are overwritten. @note Collective
std::vector<double> residuals(const Comm& comm, ConstMultiVector of, const std::vector<double>& s,
                              MultiVector products) {
  for (Index j = 0; j < of.rows; ++j) axpy(-s[static_cast<std::size_t>(j)], of.row(j), products.row(j));
  auto squares = row_dots(comm, products, products);
  for (double& x : squares) x = std::sqrt(x);
  return squares;
}

std::vector<Certified> certify(const LinearOperator& op, const petsc::SingularVectors& vectors) {
  const Comm& comm = op.comm();
  const Index width = block_width(std::max(op.range().size(), op.domain().size()));
  std::vector<Certified> all;
  for (Index first = 0; first < vectors.left.rows(); first += width) {
    const Index count = std::min(width, vectors.left.rows() - first);
    const auto u = vectors.left.view().rows_from(first, count);
    const auto v = vectors.right.view().rows_from(first, count);
    Matrix<double> av(count, u.cols), atu(count, v.cols);
    op.apply(v, av.view());
    op.apply_transpose(u, atu.view());
    const auto s = row_dots(comm, u, av.view());
    const auto right = residuals(comm, u, s, av.view());
    const auto left = residuals(comm, v, s, atu.view());
    for (std::size_t j = 0; j < s.size(); ++j) all.push_back({s[j], right[j], left[j]});
  }
  std::ranges::stable_sort(all, std::greater<>(), &Certified::value);
  return all;
}

}  // namespace

Singular compute_singular(const LinearOperator& op, const SingularOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto found = petsc::solve_singular(op, {.count = options.count,
                                                .tolerance = options.tolerance,
                                                .seed = options.seed,
                                                .max_products = options.max_products,
                                                .monitor = options.monitor});
  const auto certified = certify(op, found);
  std::vector<double> values, rms;
  for (const Certified& c : certified) {
    values.push_back(c.value);
    rms.push_back(std::hypot(c.right_residual, c.left_residual) / std::sqrt(2.0));
  }
  const double norm = values.empty() ? 0.0 : values.front();
  // Of the whole (0 A; A^T 0), whose other end and null space lie below all that was computed.
  const auto bounds = error_bounds(values, rms, std::ssize(values), op.range().size() + op.domain().size(),
                                   norm, options.rounding);

  Singular result{.requested = options.count,
                  .matvecs = found.products + 2 * std::ssize(certified),
                  .check_matvecs = found.check_products,
                  .reason = found.reason};
  // The guard has done its service.
  const auto kept = std::min<std::size_t>(certified.size(), static_cast<std::size_t>(options.count));
  for (std::size_t n = 0; n < kept; ++n) {
    result.values.push_back(certified[n].value);
    result.right_residuals.push_back(certified[n].right_residual);
    result.left_residuals.push_back(certified[n].left_residual);
    result.value_bounds.push_back(bounds.value_bounds[n]);
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  result.seconds = op.comm().broadcast_value(elapsed.count());
  return result;
}

}  // namespace dualscape::spectrum
