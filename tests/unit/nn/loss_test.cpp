#include "dualscape/nn/loss.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/naive_loss.hpp"
#include "support/network_problem.hpp"

namespace dualscape::nn {
namespace {

using testing::all_losses;
using testing::NaiveLoss;
using testing::normal_matrix;

constexpr Index samples = 30;

/// Random logits of moderate size for 4 classes, in either precision.
template <class Real>
struct Logits {
  Matrix<Real> f{samples, 4};
  Matrix<Real> p{samples, 4};
  std::vector<int> labels;

  explicit Logits(double scale = 3) {
    const auto random = normal_matrix(samples, 4, 5);
    std::ranges::transform(random.entries(), f.data(),
                           [&](double x) { return static_cast<Real>(scale * x); });
    for (Index i = 0; i < samples; ++i) labels.push_back(static_cast<int>(i % 4));
    softmax<Real>(f.view(), p.view());
  }
  NaiveLoss naive(Loss loss, Index i) const {
    return {loss, f.view().row(i), labels[static_cast<std::size_t>(i)]};
  }
};

template <class Real>
void expect_the_formulas(double tolerance) {
  const Logits<Real> at;
  for (Loss loss : all_losses) {
    std::vector<double> values(samples);
    Matrix<Real> gradient(samples, 4);
    sample_losses<Real>(loss, at.f.view(), at.labels, values);
    loss_gradient<Real>(loss, at.f.view(), at.labels, gradient.view());
    for (Index i = 0; i < samples; ++i) {
      const auto naive = at.naive(loss, i);
      const auto expected = static_cast<double>(naive.value());
      EXPECT_NEAR(values[static_cast<std::size_t>(i)], expected, tolerance * expected) << name_of(loss);
      const auto slope = naive.gradient();
      for (std::size_t c = 0; c < 4; ++c) {
        EXPECT_NEAR(at.p(i, static_cast<Index>(c)), static_cast<double>(naive.p[c]), tolerance);
        EXPECT_NEAR(gradient(i, static_cast<Index>(c)), static_cast<double>(slope[c]), 10 * tolerance)
            << name_of(loss);
      }
    }
  }
}

TEST(Loss, ValuesAndGradientsFollowTheFormulas) {
  // Rounding of a logit of size 10 moves a probability by 10 eps of itself.
  expect_the_formulas<double>(30 * std::numeric_limits<double>::epsilon());
  expect_the_formulas<float>(30 * static_cast<double>(std::numeric_limits<float>::epsilon()));
}

/// S by its products with unit vectors, all at once: row c of sample i in columns 4 c .. 4 c + 3.
template <class Real>
Matrix<Real> curvature(Loss loss, LossCurvature part, const Logits<Real>& at) {
  Matrix<Real> units(samples, 16), products(samples, 16);
  for (Index i = 0; i < samples; ++i)
    for (Index c = 0; c < 4; ++c) units(i, 5 * c) = 1;
  loss_curvature_product<Real>(loss, part, at.p.view(), at.labels, units.view(), products.view());
  return products;
}

template <class Real>
void expect_the_curvature(double tolerance) {
  const Logits<Real> at;
  for (Loss loss : all_losses)
    for (LossCurvature part : {LossCurvature::full, LossCurvature::psd}) {
      const auto products = curvature<Real>(loss, part, at);
      for (Index i = 0; i < samples; ++i) {
        const auto expected = at.naive(loss, i).hessian(part == LossCurvature::psd);
        for (std::size_t c = 0; c < 4; ++c)
          for (std::size_t e = 0; e < 4; ++e)
            EXPECT_NEAR(products(i, static_cast<Index>(4 * c + e)), static_cast<double>(expected[e][c]),
                        tolerance)
                << name_of(loss);
      }
    }
}

TEST(Loss, CurvatureFollowsTheFormulas) {
  expect_the_curvature<double>(30 * std::numeric_limits<double>::epsilon());
  expect_the_curvature<float>(30 * static_cast<double>(std::numeric_limits<float>::epsilon()));
}

TEST(Loss, DerivativesAreThoseOfTheLoss) {
  // Against stencils of order h^4 in the project's own losses and gradients: free of any formula for them.
  // Truncation and rounding (eps / h) are both about 1e-12.
  constexpr double h = 1e-3;
  constexpr double tolerance = 1e-11;
  const Logits<double> at;
  for (Loss loss : all_losses)
    for (Index c = 0; c < 4; ++c) {
      std::vector<double> slope(samples);
      Matrix<double> bend(samples, 4);
      for (const auto& [step, weight] : {std::pair{1, 8.0}, {-1, -8.0}, {2, -1.0}, {-2, 1.0}}) {
        Matrix<double> f = at.f, gradient(samples, 4);
        for (Index i = 0; i < samples; ++i) f(i, c) += step * h;
        std::vector<double> values(samples);
        sample_losses<double>(loss, f.view(), at.labels, values);
        loss_gradient<double>(loss, f.view(), at.labels, gradient.view());
        for (Index i = 0; i < samples; ++i) {
          slope[static_cast<std::size_t>(i)] += weight * values[static_cast<std::size_t>(i)] / (12 * h);
          for (Index e = 0; e < 4; ++e) bend(i, e) += weight * gradient(i, e) / (12 * h);
        }
      }
      Matrix<double> gradient(samples, 4);
      loss_gradient<double>(loss, at.f.view(), at.labels, gradient.view());
      const auto products = curvature<double>(loss, LossCurvature::full, at);
      for (Index i = 0; i < samples; ++i) {
        EXPECT_NEAR(gradient(i, c), slope[static_cast<std::size_t>(i)], tolerance) << name_of(loss);
        for (Index e = 0; e < 4; ++e)
          EXPECT_NEAR(products(i, 4 * c + e), bend(i, e), tolerance) << name_of(loss);
      }
    }
}

TEST(Loss, CurvatureIsSymmetricAndBlindToShifts) {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  const Logits<double> at;
  const auto v = normal_matrix(samples, 4, 6);
  for (Loss loss : all_losses)
    for (LossCurvature part : {LossCurvature::full, LossCurvature::psd}) {
      const auto s = curvature<double>(loss, part, at);
      Matrix<double> sv(samples, 4), ones(samples, 4), shifted = v, s1(samples, 4), ss(samples, 4);
      std::ranges::fill(ones.entries(), 1.0);
      for (double& x : shifted.entries()) x += 1e6;
      loss_curvature_product<double>(loss, part, at.p.view(), at.labels, v.view(), sv.view());
      loss_curvature_product<double>(loss, part, at.p.view(), at.labels, ones.view(), s1.view());
      loss_curvature_product<double>(loss, part, at.p.view(), at.labels, shifted.view(), ss.view());
      for (Index i = 0; i < samples; ++i) {
        double form = 0;
        for (Index c = 0; c < 4; ++c) {
          form += v(i, c) * sv(i, c);
          for (Index e = 0; e < 4; ++e) EXPECT_NEAR(s(i, 4 * c + e), s(i, 4 * e + c), 10 * eps);
          if (loss == Loss::mse) continue;
          EXPECT_EQ(s1(i, c), 0) << name_of(loss);
          // v itself is rounded at 1e6 eps; no more than that may remain of the shift.
          EXPECT_NEAR(ss(i, c), sv(i, c), 4 * 1e6 * eps) << name_of(loss);
        }
        if (part == LossCurvature::full && loss == Loss::softmax_mse) continue;
        EXPECT_GE(form, 0) << name_of(loss);
      }
    }
}

TEST(Loss, SoftmaxMseIsIndefinite) {
  const Logits<double> at;
  const auto s = curvature<double>(Loss::softmax_mse, LossCurvature::full, at);
  bool negative = false;
  for (Index i = 0; i < samples; ++i)
    for (Index c = 0; c < 4; ++c) negative |= s(i, 5 * c) < -0.01;
  EXPECT_TRUE(negative);
}

TEST(Loss, CurvatureWorksInPlaceOnSeveralDirections) {
  const Logits<double> at;
  const auto v = normal_matrix(samples, 8, 7);
  for (Loss loss : all_losses)
    for (LossCurvature part : {LossCurvature::full, LossCurvature::psd}) {
      Matrix<double> apart(samples, 8), in_place = v;
      loss_curvature_product<double>(loss, part, at.p.view(), at.labels, v.view(), apart.view());
      loss_curvature_product<double>(loss, part, at.p.view(), at.labels, in_place.view(), in_place.view());
      EXPECT_THAT(in_place.entries(), ::testing::ElementsAreArray(apart.entries())) << name_of(loss);
      for (Index j = 0; j < 2; ++j) {
        Matrix<double> single(samples, 4);
        loss_curvature_product<double>(loss, part, at.p.view(), at.labels, v.view().cols_from(4 * j, 4),
                                       single.view());
        for (Index i = 0; i < samples; ++i)
          EXPECT_THAT(single.row(i), ::testing::ElementsAreArray(apart.view().cols_from(4 * j, 4).row(i)));
      }
    }
}

/// Samples are treated side by side: what stands beside one, and how many do, must not show.
template <class Real>
void expect_each_sample_by_itself() {
  constexpr Index count = 150, classes = 7;
  Matrix<Real> f(count, classes + 2);
  const auto random = normal_matrix(count, classes, 11);
  std::vector<int> labels;
  const auto logits = f.view().cols_from(1, classes);
  for (Index i = 0; i < count; ++i) {
    for (Index c = 0; c < classes; ++c) logits(i, c) = static_cast<Real>(0.2 * double(i) * random(i, c));
    labels.push_back(static_cast<int>(i % classes));
  }
  logits(70, 3) = std::numeric_limits<Real>::quiet_NaN();
  for (Loss loss : all_losses) {
    std::vector<double> values(count);
    Matrix<Real> gradient(count, classes), single(1, classes);
    sample_losses<Real>(loss, logits, labels, values);
    loss_gradient<Real>(loss, logits, labels, gradient.view());
    for (Index i = 0; i < count; ++i) {
      const auto label = std::span(labels).subspan(static_cast<std::size_t>(i), 1);
      double value = -1;
      sample_losses<Real>(loss, logits.rows_from(i, 1), label, std::span(&value, 1));
      loss_gradient<Real>(loss, logits.rows_from(i, 1), label, single.view());
      if (i == 70) {
        EXPECT_TRUE(std::isnan(values[70]) && std::isnan(value)) << name_of(loss);
        continue;
      }
      EXPECT_EQ(values[static_cast<std::size_t>(i)], value) << name_of(loss) << " of sample " << i;
      EXPECT_THAT(gradient.row(i), ::testing::ElementsAreArray(single.entries())) << name_of(loss) << i;
    }
  }
}

TEST(Loss, OfASampleDoesNotDependOnThoseBesideIt) {
  expect_each_sample_by_itself<double>();
  expect_each_sample_by_itself<float>();
}

TEST(Loss, CountsClassesAsLargeAsTheLargest) {
  const std::vector<double> f = {1, 5, 5, 5, -800};
  for (const auto& [label, expected] :
       {std::pair(2, std::log(3 + std::exp(-4.0))), std::pair(0, 4 + std::log(3 + std::exp(-4.0)))}) {
    double value = -1;
    sample_losses<double>(Loss::cross_entropy, ConstMatrixView<double>(f.data(), 1, 5), std::span(&label, 1),
                          std::span(&value, 1));
    EXPECT_DOUBLE_EQ(value, expected);
  }
}

/// The sample of label 0 with logits (m, 0, 0): e = exp(-m) is all that is wrong with it.
template <class Real>
struct Confident {
  double m;
  double e = std::exp(-m);
  std::vector<Real> f{static_cast<Real>(m), 0, 0};
  int label = 0;

  ConstMatrixView<Real> logits() const { return {f.data(), 1, 3}; }
  std::span<const int> labels() const { return {&label, 1}; }
  double loss(Loss kind) const {
    double value = -1;
    sample_losses<Real>(kind, logits(), labels(), std::span(&value, 1));
    return value;
  }
  std::vector<Real> gradient(Loss kind) const {
    std::vector<Real> g(3);
    loss_gradient<Real>(kind, logits(), labels(), MatrixView<Real>(g.data(), 1, 3));
    return g;
  }
  std::vector<Real> product(Loss kind, LossCurvature part, std::vector<Real> v) const {
    std::vector<Real> p(3);
    softmax<Real>(logits(), MatrixView<Real>(p.data(), 1, 3));
    loss_curvature_product<Real>(kind, part, ConstMatrixView<Real>(p.data(), 1, 3), labels(),
                                 ConstMatrixView<Real>(v.data(), 1, 3), MatrixView<Real>(v.data(), 1, 3));
    return v;
  }
};

template <class Real>
void expect_relative_precision(std::initializer_list<double> margins) {
  for (double m : margins) {
    const Confident<Real> at{m};
    const double e = at.e;
    // exp(-m) of a correctly rounded m is good to some eps m; squares and sums cost a few eps more.
    const double tolerance = static_cast<double>(std::numeric_limits<Real>::epsilon()) * (10 + 4 * m);
    const auto expect = [&](double got, double expected, const char* what) {
      EXPECT_NEAR(got / expected, 1, tolerance) << what << " at m = " << m;
    };
    const double q = e / (1 + 2 * e);  // the probability of each other class
    expect(at.loss(Loss::cross_entropy), std::log1p(2 * e), "cross-entropy");
    expect(at.loss(Loss::softmax_mse), 2 * q * q, "softmax-mse");
    const auto ce = at.gradient(Loss::cross_entropy);
    expect(static_cast<double>(ce[0]), -2 * q, "cross-entropy gradient");
    expect(static_cast<double>(ce[1]), q, "cross-entropy gradient");
    // g = (2/3) s (p - onehot) with p - onehot = (-2 q, q, q): p_c ((p - onehot)_c - mean), mean = -2 q + 6
    // q^2.
    const auto sm = at.gradient(Loss::softmax_mse);
    expect(static_cast<double>(sm[0]), -2.0 / 3 * (1 - 2 * q) * 6 * q * q, "softmax-mse gradient");
    expect(static_cast<double>(sm[1]), 2.0 / 3 * q * (3 * q - 6 * q * q), "softmax-mse gradient");

    // Directions with a large common part: the answer is of order q, far below eps of what would cancel.
    const auto sv = at.product(Loss::cross_entropy, LossCurvature::full, {100, 103, 100});
    expect(static_cast<double>(sv[0]), -3 * q * (1 - 2 * q), "S v of cross-entropy");
    expect(static_cast<double>(sv[1]), 3 * q * (1 - q), "S v of cross-entropy");
    expect(static_cast<double>(sv[2]), -3 * q * q, "S v of cross-entropy");
    // (2/3) s (s v): sv = 3 q (-(1 - 2 q), 1 - q, -q).
    const auto ssv = at.product(Loss::softmax_mse, LossCurvature::psd, {100, 103, 100});
    const double mean = 3 * q * (-(1 - 2 * q) * (1 - 2 * q) + q * (1 - q) - q * q);
    expect(static_cast<double>(ssv[1]), 2.0 / 3 * q * (3 * q * (1 - q) - mean), "S v of softmax-mse, psd");
    // The full S along (0, 1, 0), multiplied out.
    const auto full = at.product(Loss::softmax_mse, LossCurvature::full, {0, 1, 0});
    const double scale = 2.0 / 3 * q * q;
    expect(static_cast<double>(full[0]), scale * (-6 + 30 * q - 36 * q * q), "S v of softmax-mse");
    expect(static_cast<double>(full[1]), scale * (5 - 18 * q + 18 * q * q), "S v of softmax-mse");
    expect(static_cast<double>(full[2]), scale * (1 - 12 * q + 18 * q * q), "S v of softmax-mse");
  }
}

TEST(Loss, ConfidentSamplesKeepTheirRelativePrecision) {
  expect_relative_precision<double>({5, 20, 40, 100, 300});
  expect_relative_precision<float>({5, 10, 20, 40});
}

TEST(Loss, WrongAndExtremeLogitsStayFinite) {
  for (double m : {1e3, 1e30, 1e300}) {
    const Confident<double> sure{m};
    EXPECT_EQ(sure.loss(Loss::cross_entropy), 0);
    EXPECT_THAT(sure.gradient(Loss::cross_entropy), ::testing::Each(0.0));
    EXPECT_THAT(sure.gradient(Loss::softmax_mse), ::testing::Each(0.0));
    Confident<double> wrong{m};
    wrong.label = 2;
    EXPECT_EQ(wrong.loss(Loss::cross_entropy), m);
    EXPECT_DOUBLE_EQ(wrong.loss(Loss::softmax_mse), 2.0 / 3);
    EXPECT_THAT(wrong.gradient(Loss::cross_entropy), ::testing::ElementsAre(1, 0, -1));
  }
}

TEST(Loss, NotANumberIsNotHidden) {
  for (Loss loss : all_losses)
    for (std::size_t at = 0; at < 3; ++at) {
      Confident<double> sample{2};
      sample.f[at] = std::nan("");
      EXPECT_TRUE(std::isnan(sample.loss(loss))) << name_of(loss) << at;
    }
}

TEST(Loss, PredictsTheLargestLogitAndTheLowestOnATie) {
  const std::vector<double> f = {1, 3, 2, 5, 5, -1, -2, -2, -2};
  std::vector<int> predicted(3);
  predictions<double>(ConstMatrixView<double>(f.data(), 3, 3), predicted);
  EXPECT_THAT(predicted, ::testing::ElementsAre(1, 0, 0));
}

}  // namespace
}  // namespace dualscape::nn
