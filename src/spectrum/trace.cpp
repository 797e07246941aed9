#include "dualscape/spectrum/trace.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "dualscape/spectrum/certificate.hpp"
#include "probes.hpp"

namespace dualscape::spectrum {
namespace {

/// Multiplies vectors a block at a time.
class Multiplier {
 public:
  Multiplier(const LinearOperator& op, const ProbeOptions& options)
      : op_(op),
        options_(options),
        begin_(op.range().begin(op.comm().rank())),
        local_(op.range().count(op.comm().rank())),
        width_(block_width(op.range().size())) {}

  const Comm& comm() const { return op_.comm(); }
  Index begin() const { return begin_; }
  Index local() const { return local_; }
  Index made() const { return made_; }

  /// For `count` vectors in blocks of k: fill(first, vectors), then use(first, vectors, products).
  template <class Fill, class Use>
  void each_block(Index count, const Fill& fill, const Use& use) {
    for (Index first = 0; first < count; first += width_) {
      const Index k = std::min(width_, count - first);
      Matrix<double> vectors(k, local_), products(k, local_);
      fill(first, vectors.view());
      op_.apply(vectors.view(), products.view());
      made_ += k;
      if (options_.monitor) options_.monitor(made_);
      use(first, ConstMultiVector(vectors.view()), ConstMultiVector(products.view()));
    }
  }

  /// The same for all unit vectors.
  template <class Use>
  void each_unit_block(const Use& use) {
    const auto fill = [&](Index first, MultiVector units) {
      for (Index j = 0; j < units.rows; ++j)
        if (const Index at = first + j - begin_; at >= 0 && at < local_) units(j, at) = 1.0;
    };
    each_block(op_.range().size(), fill, use);
  }

 private:
  const LinearOperator& op_;
  const ProbeOptions& options_;
  Index begin_;
  Index local_;
  Index width_;
  Index made_ = 0;
};

/// Makes the rows orthonormal, to those of `others` as well, dropping those that have nothing new but
/// rounding; returns how many are left, at the front. Twice is enough (Kahan and Parlett). @note Collective
Index orthonormalise(const Comm& comm, ConstMultiVector others, MultiVector rows) {
  const auto project = [&](Index kept) {
    project_off(comm, others, rows.rows_from(kept, 1));
    project_off(comm, rows.rows_from(0, kept), rows.rows_from(kept, 1));
  };
  const auto length = [&](Index j) {
    auto square = row_dots(comm, rows.rows_from(j, 1), rows.rows_from(j, 1));
    return std::sqrt(comm.broadcast_value(square.front()));
  };
  constexpr double nothing = 1e3 * std::numeric_limits<double>::epsilon();
  double largest = 0;
  Index kept = 0;
  for (Index j = 0; j < rows.rows; ++j) {
    if (kept < j) std::ranges::copy(rows.row(j), rows.row(kept).begin());
    largest = std::max(largest, length(kept));
    for (int pass = 0; pass < 2; ++pass) project(kept);
    const double left = length(kept);
    if (!(left > nothing * largest)) continue;
    for (double& x : rows.row(kept)) x /= left;
    project(kept);
    ++kept;
  }
  return kept;
}

Trace exact_trace(const LinearOperator& op, const ProbeOptions& options) {
  Multiplier multiply(op, options);
  double trace = 0, square = 0;
  multiply.each_unit_block([&](Index, ConstMultiVector units, ConstMultiVector products) {
    for (double x : row_dots(op.comm(), units, products)) trace += x;
    for (double x : row_dots(op.comm(), products, products)) square += x;
  });
  return {.trace = {trace, 0}, .frobenius = {std::sqrt(square), 0}, .matvecs = multiply.made()};
}

}  // namespace

Trace estimate_trace(const LinearOperator& op, const ProbeOptions& options) {
  const Index size = op.range().size();
  if (options.products >= size) return exact_trace(op, options);
  if (options.products < 6) throw std::logic_error("estimate_trace: at least 6 products are needed");

  Multiplier multiply(op, options);
  const Comm& comm = op.comm();
  const Index pairs = options.known.vectors.rows;
  const Index third = std::min(options.products / 3, size - pairs);
  // The pairs' vectors, then those that hold most of what they leave.
  Matrix<double> basis(pairs + third, multiply.local());
  for (Index n = 0; n < pairs; ++n) std::ranges::copy(options.known.vectors.row(n), basis.row(n).begin());
  const MultiVector range = basis.view().rows_from(pairs, third);
  const auto sketch = [&](Index first, MultiVector probes) {
    draw_directions(comm, options.seed, Stream::trace_probe, first, multiply.begin(), options.known.vectors,
                    probes);
  };
  multiply.each_block(third, sketch, [&](Index first, ConstMultiVector, ConstMultiVector products) {
    for (Index j = 0; j < products.rows; ++j)
      std::ranges::copy(products.row(j), range.row(first + j).begin());
  });
  const Index rank = orthonormalise(comm, options.known.vectors, range);

  double trace = 0, square = 0;
  for (double value : options.known.values) trace += value;
  for (double value : options.known.values) square += value * value;
  for (double residual : options.known.residuals) square += residual * residual;
  const auto take = [&](Index first, MultiVector vectors) {
    for (Index j = 0; j < vectors.rows; ++j) std::ranges::copy(range.row(first + j), vectors.row(j).begin());
  };
  multiply.each_block(rank, take, [&](Index, ConstMultiVector vectors, ConstMultiVector products) {
    for (double x : row_dots(comm, vectors, products)) trace += x;
    for (double x : row_dots(comm, products, products)) square += x;
  });
  Trace found{.trace = {trace, 0}, .frobenius = {std::sqrt(square), 0}};
  if (const Index left = size - pairs - rank; left > 0) {
    std::vector<double> traces, squares;
    const auto rest = [&](Index first, MultiVector probes) {
      draw_directions(comm, options.seed, Stream::trace_probe, third + first, multiply.begin(),
                      basis.top(pairs + rank), probes);
    };
    // Of two directions, left <H x, H y>^2 is as much as x^T (H P H)^2 x in the mean.
    std::vector<double> fourths;
    const auto count = static_cast<double>(left);
    const auto use = [&](Index, ConstMultiVector probes, ConstMultiVector products) {
      for (double x : row_dots(comm, probes, products)) traces.push_back(x);
      Matrix<double> gram(products.rows, products.rows);
      gemm(Op::none, Op::transpose, 1.0, products, products, 0.0, gram.view());
      sum_over_ranks(comm, gram.entries());
      for (Index i = 0; i < gram.rows(); ++i) {
        squares.push_back(gram(i, i));
        for (Index j = 0; j < i; ++j) fourths.push_back(count * gram(i, j) * gram(i, j));
      }
    };
    multiply.each_block(options.products - third - rank, rest, use);
    found.trace = added(trace, count, mean_on_sphere(traces, squares, left));
    Estimate of_square = mean_of(squares);
    if (!fourths.empty())
      of_square.error = std::max(of_square.error, student_factor(std::ssize(squares)) *
                                                      mean_on_sphere(squares, fourths, left).error);
    found.frobenius = root_of(added(square, count, of_square));
  }
  found.matvecs = multiply.made();
  return found;
}

Diagonal estimate_diagonal(const LinearOperator& op, const ProbeOptions& options) {
  const Index size = op.range().size();
  Multiplier multiply(op, options);
  Diagonal result;
  result.values.resize(static_cast<std::size_t>(multiply.local()));
  result.errors.resize(result.values.size());
  result.exact = options.products >= size;
  if (!result.exact && options.products < 2)
    throw std::logic_error("estimate_diagonal: at least 2 products are needed");
  if (result.exact) {
    multiply.each_unit_block([&](Index first, ConstMultiVector, ConstMultiVector products) {
      for (Index j = 0; j < products.rows; ++j)
        if (const Index at = first + j - multiply.begin(); at >= 0 && at < multiply.local())
          result.values[static_cast<std::size_t>(at)] = products(j, at);
    });
  } else {
    std::vector<double> squares(result.values.size());
    const auto fill = [&](Index first, MultiVector probes) {
      draw_signs(options.seed, Stream::diagonal_probe, first, multiply.begin(), probes);
    };
    double seen = 0;  // Welford's running mean and sum of squared deviations
    const auto use = [&](Index, ConstMultiVector probes, ConstMultiVector products) {
      for (Index j = 0; j < probes.rows; ++j) {
        ++seen;
        for (std::size_t i = 0; i < squares.size(); ++i) {
          const auto at = static_cast<Index>(i);
          const double off = probes(j, at) * products(j, at) - result.values[i];
          result.values[i] += off / seen;
          squares[i] += off * off * (seen - 1) / seen;
        }
      }
    };
    multiply.each_block(options.products, fill, use);
    for (std::size_t i = 0; i < squares.size(); ++i)
      result.errors[i] = student_factor(options.products) * std::sqrt(squares[i] / (seen * (seen - 1)));
  }
  result.matvecs = multiply.made();
  return result;
}

}  // namespace dualscape::spectrum
