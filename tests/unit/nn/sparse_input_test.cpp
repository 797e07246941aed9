#include "dualscape/nn/sparse_input.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dualscape/base/random.hpp"
#include "dualscape/nn/panel_kernels.hpp"

namespace dualscape::nn {
namespace {

constexpr Index features = 23;

/// Rows of which a sixth of the values are not zero; some rows have none.
template <class Real>
Matrix<Real> sparse_inputs(Index count) {
  const Random random(4, Stream::probe, 1);
  Matrix<Real> rows(count, features);
  for (Index i = 0; i < count; ++i)
    for (Index j = 0; j < features; ++j)
      if (const auto at = static_cast<std::uint64_t>(i * features + j);
          i % 7 != 3 && random.uniform(at) < 1.0 / 6)
        rows(i, j) = static_cast<Real>(random.normal(at + 1'000'000));
  return rows;
}

template <class Real>
Matrix<Real> normal_numbers(Index rows, Index cols, std::uint32_t stream) {
  const Random random(4, Stream::probe, stream);
  Matrix<Real> numbers(rows, cols);
  for (std::size_t i = 0; i < numbers.entries().size(); ++i)
    numbers.entries()[i] = static_cast<Real>(random.normal(i));
  return numbers;
}

/// Some of the samples, out of order and one of them twice.
const std::vector<Index> chosen = {5, 3, 17, 0, 10, 5, 29, 24, 1};

/// A sum of n products, each rounded: within n + 1 roundings of the sum of their magnitudes.
template <class Real>
void expect_sum(Real sum, const auto& term, Index n) {
  double exact = 0, magnitude = 0;
  for (Index i = 0; i < n; ++i) {
    exact += term(i);
    magnitude += std::abs(term(i));
  }
  const double rounding = std::numeric_limits<Real>::epsilon();
  EXPECT_NEAR(sum, exact, static_cast<double>(n + 1) * rounding * magnitude);
}

template <class Real>
class SparseInput : public ::testing::Test {};
using Reals = ::testing::Types<double, float>;
TYPED_TEST_SUITE(SparseInput, Reals);

TYPED_TEST(SparseInput, ProductsAreThoseOfTheDenseLayer) {
  using Real = TypeParam;
  const auto inputs = sparse_inputs<Real>(30);
  SparseRows<Real> rows;
  rows.append(inputs.view().rows_from(0, 11));
  rows.append(inputs.view().rows_from(11, 19));
  ASSERT_EQ(rows.count(), 30);
  EXPECT_TRUE(rows.row(3).empty());
  const auto n = std::ssize(chosen);
  const auto input = [&](Index i, Index j) {
    return static_cast<double>(inputs(chosen[static_cast<std::size_t>(i)], j));
  };
  for (Index out : {1, 7, 8, 10, 16, 17, 30, 32, 33, 70}) {  // each width of a panel, whole and filled up
    const SparseLayer<Real> layer(features, out);
    const auto weight = normal_numbers<Real>(out, features, 2);
    std::vector<Real> panels(static_cast<std::size_t>(layer.size()), Real(9));
    layer.template to_panels<Real>(weight.entries(), panels);

    Matrix<Real> wide(n, out + 3);  // a view with a stride; what lies between stays
    std::ranges::fill(wide.entries(), Real(9));
    layer.apply(panels, rows, chosen, wide.view().cols_from(1, out));
    for (Index i = 0; i < n; ++i) {
      EXPECT_EQ(wide(i, 0), 9);
      EXPECT_EQ(wide(i, out + 1), 9);
      for (Index o = 0; o < out; ++o)
        expect_sum(
            wide(i, o + 1), [&](Index j) { return input(i, j) * weight(o, j); }, features);
    }

    const auto d = normal_numbers<Real>(n, out, 3);
    std::vector<Real> gradient(panels.size(), Real(9));
    layer.adjoint_weight(d.view(), rows, chosen, Write::replace, gradient);
    layer.adjoint_weight(d.view(), rows, chosen, Write::add, gradient);
    Matrix<Real> ordered(out, features);
    layer.template from_panels<Real>(gradient, ordered.entries());
    for (Index o = 0; o < out; ++o)
      for (Index j = 0; j < features; ++j)
        expect_sum(
            ordered(o, j), [&](Index i) { return input(i % n, j) * d(i % n, o); }, 2 * n);
  }
}

template <class Kernels, class Real>
std::vector<Real> both_products(Index width, Index outputs, const SparseRows<Real>& rows) {
  const Index count = std::ssize(chosen);
  auto panel = normal_numbers<Real>(features, width, 6);
  Matrix<Real> z(count, outputs);
  Kernels::apply(width, panel.data(), rows.batch(chosen), z.view());
  Kernels::add_adjoint(width, z.view(), rows.batch(chosen), panel.data());
  std::vector<Real> all(z.entries().begin(), z.entries().end());
  all.insert(all.end(), panel.entries().begin(), panel.entries().end());
  return all;
}

TYPED_TEST(SparseInput, WiderRegistersGiveTheSameBits) {
  using Real = TypeParam;
  if (!has_wide_registers())
    GTEST_SKIP() << (wide_register_bytes == common_register_bytes
                         ? "compiled without kernels of wider registers"
                         : "this processor has no AVX-512");
  SparseRows<Real> rows;
  rows.append(sparse_inputs<Real>(30).view());
  for (Index width : {8, 16, 24, 32})
    for (Index outputs : {Index{1}, width - 5, width}) {
      const auto narrow =
          both_products<PanelKernels<Real, common_register_bytes>, Real>(width, outputs, rows);
      EXPECT_TRUE(std::ranges::none_of(narrow, [](Real x) { return std::isnan(x); }));
      const auto wide = both_products<PanelKernels<Real, wide_register_bytes>, Real>(width, outputs, rows);
      EXPECT_EQ(narrow, wide) << width << ' ' << outputs;
    }
}

TYPED_TEST(SparseInput, PanelsHoldEveryWeightOnceAndZeros) {
  using Real = TypeParam;
  for (Index out : {1, 8, 30, 33}) {
    const SparseLayer<Real> layer(features, out);
    EXPECT_EQ(layer.size() % 8, 0);
    auto numbers = normal_numbers<double>(out, features, 5);
    std::vector<double> panels(static_cast<std::size_t>(layer.size()), 9.0);
    layer.template to_panels<double>(numbers.entries(), panels);
    Matrix<double> back(out, features);
    layer.template from_panels<double>(panels, back.entries());
    EXPECT_TRUE(std::ranges::equal(back.entries(), numbers.entries()));
    std::ranges::sort(numbers.entries());
    std::erase(panels, 0.0);
    std::ranges::sort(panels);
    EXPECT_TRUE(std::ranges::equal(panels, numbers.entries()));
  }
}

}  // namespace
}  // namespace dualscape::nn
