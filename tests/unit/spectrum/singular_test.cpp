#include "dualscape/spectrum/singular.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dualscape/base/error.hpp"
#include "dualscape/operators/jacobian.hpp"
#include "layer_oracle.hpp"
#include "support/dense_operator.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::error_of;
using testing::KnownSpectrum;
using testing::NetworkProblem;
using testing::products_with_units;
using testing::with_tail;

/// Q D Q^T below `more_rows` rows of zeros, or the transpose of that (`wide`): the sizes of D's entries are
/// the singular values. Counts its products.
class Rectangular : public LinearOperator {
 public:
  Rectangular(const Comm& comm, const std::vector<double>& values, Index more_rows, bool wide)
      : square_(comm, values), more_(more_rows), wide_(wide) {}

  const Comm& comm() const override { return square_.comm(); }
  Partition range() const override { return wide_ ? square_.range() : tall(); }
  Partition domain() const override { return wide_ ? tall() : square_.range(); }
  bool symmetric() const override { return false; }
  void apply(ConstMultiVector in, MultiVector out) const override { wide_ ? cut(in, out) : fill(in, out); }
  void apply_transpose(ConstMultiVector in, MultiVector out) const override {
    wide_ ? fill(in, out) : cut(in, out);
  }
  mutable Index products = 0;

 private:
  /// Rank 0 holds the additional entries, at the front.
  Partition tall() const {
    std::vector<Index> borders = {0};
    for (int r = 0; r < comm().size(); ++r) borders.push_back(more_ + square_.range().end(r));
    return Partition(borders);
  }
  Index offset() const { return comm().is_root() ? more_ : 0; }
  void fill(ConstMultiVector in, MultiVector out) const {
    products += in.rows;
    for (Index j = 0; j < out.rows; ++j)
      std::ranges::fill(out.row(j).first(static_cast<std::size_t>(offset())), 0.0);
    square_.apply(in, out.cols_from(offset(), in.cols));
  }
  void cut(ConstMultiVector in, MultiVector out) const {
    products += in.rows;
    square_.apply(in.cols_from(offset(), out.cols), out);
  }
  KnownSpectrum square_;
  Index more_;
  bool wide_;
};

void expect_singular(const Singular& found, const std::vector<double>& truth, double tolerance) {
  ASSERT_EQ(found.converged(), found.requested) << found.reason;
  for (std::size_t n = 0; n < found.values.size(); ++n) {
    EXPECT_LE(std::abs(found.values[n] - truth[n]), found.value_bounds[n]) << n;
    EXPECT_LE(found.right_residuals[n], 2 * tolerance * truth[0]) << n;
    EXPECT_LE(found.left_residuals[n], 2 * tolerance * truth[0]) << n;
    EXPECT_LT(found.value_bounds[n], 4 * tolerance * truth[0]) << n;
  }
}

TEST(Singular, ValuesOfTallAndWideOperatorsCopiesIncluded) {
  const Comm comm(MPI_COMM_WORLD);
  for (const auto& [values, count] : {std::pair{with_tail({10, 9, 5, 4, 3.5}, 150, 1.0), Index{7}},
                                      {with_tail({10, 10, 10, 10, 5, 5, 5, 5, 2}, 150, 1.0), Index{8}},
                                      {with_tail({10, 10, 10, 10, 5, 5, 5, 5, 2}, 150, 1.0), Index{6}}})
    for (bool wide : {false, true})
      for (double tolerance : {1e-5, 1e-9}) {
        const Rectangular op(comm, values, 40, wide);
        const auto found = compute_singular(op, {.count = count, .tolerance = tolerance});
        expect_singular(found, values, tolerance);
        EXPECT_EQ(found.matvecs, op.products);
        EXPECT_GT(found.check_matvecs, 0);
        EXPECT_EQ(found.reason, "converged");
      }
}

TEST(Singular, NtkSpectrumOfANetwork) {
  // J J^T dense, of a hidden layer and of the last one, where each value comes once for each class.
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, true);
  const auto linearisation = problem.linearisation(comm);
  for (const auto& [name, count] :
       {std::pair{"dense2+bias", 12}, {"dense3", 9}, {"dense3", 12}, {"all", 20}}) {
    SCOPED_TRACE(name);
    const operators::Jacobian<double> jacobian(linearisation,
                                               operators::select_block(problem.network, {name}));
    const auto j = products_with_units(jacobian, 24, true);
    Matrix<double> kernel(j.rows(), j.rows());
    gemm<double>(Op::none, Op::transpose, 1.0, j.view(), j.view(), 0.0, kernel.view());
    auto eigenvalues = symmetric_eigen(kernel.view());
    std::ranges::reverse(eigenvalues);
    const auto found = compute_singular(jacobian, {.count = count});
    ASSERT_EQ(found.converged(), count) << found.reason;
    for (std::size_t n = 0; n < found.values.size(); ++n) {
      const double s = found.values[n];
      EXPECT_NEAR(s * s, eigenvalues[n],
                  (2 * s + found.value_bounds[n]) * found.value_bounds[n] + 1e-13 * eigenvalues[0])
          << n;
      EXPECT_LT(found.value_bounds[n], 1e-7 * found.values[0]);
    }
  }
}

TEST(Singular, SaysWhenItStopsShort) {
  const Comm comm(MPI_COMM_WORLD);
  const Rectangular op(comm, with_tail({}, 150, 1.0), 10, false);
  const auto found = compute_singular(op, {.count = 30, .tolerance = 1e-15, .max_products = 100});
  EXPECT_FALSE(found.as_asked());
  EXPECT_LT(found.converged(), 30);
  EXPECT_THAT(found.reason, ::testing::HasSubstr("stopped after"));
}

}  // namespace
}  // namespace dualscape::spectrum
