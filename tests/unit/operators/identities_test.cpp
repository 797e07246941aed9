#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dense_curvature.hpp"
#include "dualscape/base/blas.hpp"
#include "dualscape/operators/layer_hessian.hpp"
#include "support/dense_operator.hpp"

/// Exact properties of the Hessian that need no other Hessian to compare with.
namespace dualscape::operators {
namespace {

using dualscape::testing::all_activations;
using dualscape::testing::all_losses;
using dualscape::testing::largest;
using dualscape::testing::normal_matrix;
using dualscape::testing::product;
using testing::NetworkProblem;

std::span<const double> weight_of(const nn::Network& network, Index l, std::span<const double> vector) {
  return vector.subspan(static_cast<std::size_t>(network.layer(l).weight_offset),
                        static_cast<std::size_t>(network.layer(l).weight_size));
}

TEST(ReluIdentity, RescalingTwoLayersTurnsTheGradient) {
  // The loss does not change under W^l -> s W^l, W^(l+1) -> W^(l+1) / s; differentiated once and twice.
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : all_losses) {
    const NetworkProblem problem(Activation::relu, loss, false);
    const nn::Network& net = problem.network;
    const auto linearisation = problem.linearisation(comm);
    const auto whole = nn::whole_network(net);
    const Hessian<double> hessian(linearisation, whole);
    const auto gradient = mean_gradient(linearisation, whole);
    for (Index l = 0; l + 1 < net.depth(); ++l) {
      Matrix<double> direction(1, whole.size), expected(1, whole.size);
      for (Index i = 0; i < net.layer(l).weight_size; ++i) {
        const Index at = net.layer(l).weight_offset + i;
        direction(0, at) = problem.parameters[static_cast<std::size_t>(at)];
        expected(0, at) = -gradient[static_cast<std::size_t>(at)];
      }
      for (Index i = 0; i < net.layer(l + 1).weight_size; ++i) {
        const Index at = net.layer(l + 1).weight_offset + i;
        direction(0, at) = -problem.parameters[static_cast<std::size_t>(at)];
        expected(0, at) = gradient[static_cast<std::size_t>(at)];
      }
      const auto turned = product(hessian, direction);
      ASSERT_GT(largest(expected.view()), 1e-3);
      dualscape::testing::expect_close(turned.view(), expected.view(), 1e-13 * largest(expected.view()));
      const double low = dot(weight_of(net, l, gradient), weight_of(net, l, problem.parameters));
      const double high = dot(weight_of(net, l + 1, gradient), weight_of(net, l + 1, problem.parameters));
      EXPECT_NEAR(low, high, 1e-13 * (1 + std::abs(low))) << name_of(loss);
    }
  }
}

TEST(SoftmaxIdentity, ACommonShiftOfTheLogitsIsInTheNullSpace) {
  const Comm comm(MPI_COMM_WORLD);
  for (Activation activation : all_activations)
    for (Loss loss : {Loss::cross_entropy, Loss::softmax_mse})
      for (bool bias : {false, true}) {
        const NetworkProblem problem(activation, loss, bias);
        const auto linearisation = problem.linearisation(comm);
        const auto block = select_block(problem.network, {bias ? "dense3+bias" : "dense3"});
        const Hessian<double> hessian(linearisation, block);
        const auto c = normal_matrix(1, 4, 20);
        Matrix<double> shift(1, block.size);
        for (Index o = 0; o < 3; ++o) {
          for (Index i = 0; i < 4; ++i) shift(0, o * 4 + i) = c(0, i);
          if (bias) shift(0, block.bias_offset[2] + o) = 0.7;
        }
        const double scale = largest(product(hessian, normal_matrix(1, block.size, 21)).view());
        ASSERT_GT(scale, 0);
        EXPECT_LT(largest(product(hessian, shift).view()), 1e-14 * scale) << name_of(activation);
      }
}

/// The one tile that holds all samples, and each sample's M.
template <class Visit>
void with_all_samples(const NetworkProblem& problem, Index layer, const Visit& visit) {
  const Comm self(MPI_COMM_SELF);
  const auto linearisation = problem.linearisation(self, {}, 1);
  linearisation.for_each_tile(0, [&](const nn::Tile<double>& tile) {
    ASSERT_EQ(tile.count, problem.count());
    visit(tile.a[static_cast<std::size_t>(layer)], preactivity_hessians(linearisation, tile, layer));
  });
}

TEST(LayerIdentity, TraceAndNormAreSumsOverSamples) {
  const Comm comm(MPI_COMM_WORLD);
  for (Activation activation : {Activation::relu, Activation::gelu, Activation::sigmoid})
    for (Loss loss : all_losses) {
      const NetworkProblem problem(activation, loss, true);
      const auto linearisation = problem.linearisation(comm);
      for (Index l = 0; l < 3; ++l) {
        const auto block = select_block(problem.network, {problem.network.layer(l).name});
        const auto dense = dualscape::testing::products_with_units(Hessian<double>(linearisation, block), 4);
        double trace = 0, square = 0;
        for (Index i = 0; i < dense.rows(); ++i) trace += dense(i, i);
        for (double x : dense.entries()) square += x * x;
        double expected_trace = 0, expected_square = 0, size = 0;
        with_all_samples(problem, l, [&](const Matrix<double>& a, const Matrix<double>& m) {
          const auto n = static_cast<double>(problem.count());
          const Index out = problem.network.layer(l).out;
          for (Index p = 0; p < problem.count(); ++p) {
            for (Index o = 0; o < out; ++o) {
              expected_trace += m(p, o * out + o) * dot(a.row(p), a.row(p)) / n;
              size += std::abs(m(p, o * out + o)) * dot(a.row(p), a.row(p)) / n;
            }
            for (Index q = 0; q < problem.count(); ++q) {
              const double overlap = dot(a.row(p), a.row(q));
              expected_square += dot(m.row(p), m.row(q)) * overlap * overlap / (n * n);
            }
          }
        });
        EXPECT_NEAR(trace, expected_trace, 1e-13 * size) << testing::joined(problem, {"layer"}) << l;
        EXPECT_NEAR(square, expected_square, 1e-12 * square) << testing::joined(problem, {"layer"}) << l;
      }
    }
}

TEST(LayerIdentity, PiecewiseLinearLayersBoundTheRankOfASamplesHessian) {
  // M = J^T S J: its rank is that of S, one less than the classes for the losses of a softmax. Layer 1 has
  // five outputs, so that two or three of M's eigenvalues are zero.
  for (Loss loss : all_losses) {
    const NetworkProblem problem(Activation::relu, loss, true);
    const auto zeros = static_cast<std::size_t>(loss == Loss::mse ? 2 : 3);
    with_all_samples(problem, 0, [&](const Matrix<double>&, const Matrix<double>& m) {
      for (Index p = 0; p < problem.count(); ++p) {
        Matrix<double> one(5, 5);
        std::ranges::copy(m.row(p), one.data());
        auto values = symmetric_eigen(one.view());
        std::ranges::sort(values, {}, [](double x) { return std::abs(x); });
        EXPECT_LE(std::abs(values[zeros - 1]), 1e-14 * std::abs(values.back()) + 1e-300) << name_of(loss);
      }
    });
  }
}

TEST(CurvatureIdentity, GaussNewtonIsTheHessianWhereTheLogitsAreLinear) {
  // The last layer's block, and any single block of a network of identities, for losses whose S is all psd.
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : {Loss::cross_entropy, Loss::mse})
    for (Activation activation : {Activation::tanh, Activation::identity, Activation::relu}) {
      const NetworkProblem problem(activation, loss, true);
      const auto linearisation = problem.linearisation(comm);
      for (Index l = activation == Activation::tanh ? 2 : 0; l < 3; ++l) {
        const auto block = select_block(problem.network, {problem.network.layer(l).name + "+bias"});
        const Hessian<double> hessian(linearisation, block);
        const GaussNewton<double> gauss_newton(linearisation, block);
        const auto v = normal_matrix(4, block.size, 30);
        const auto hv = product(hessian, v);
        dualscape::testing::expect_close(product(gauss_newton, v).view(), hv.view(),
                                         1e-13 * largest(hv.view()));
      }
    }
}

TEST(CurvatureIdentity, EmpiricalFisherOfOneSampleIsItsGradientsSquare) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::gelu, Loss::cross_entropy, true, 1);
  const auto linearisation = problem.linearisation(comm);
  const auto block = select_block(problem.network, {"all"});
  const auto gradient = mean_gradient(linearisation, block);
  const EmpiricalFisher<double> fisher(linearisation, block);
  const auto v = normal_matrix(1, block.size, 31);
  const auto product_of_v = product(fisher, v);
  const double along = dot(gradient, v.row(0));
  for (Index i = 0; i < block.size; ++i)
    EXPECT_NEAR(product_of_v(0, i), along * gradient[static_cast<std::size_t>(i)],
                1e-14 * (1 + largest(product_of_v.view())));
}

}  // namespace
}  // namespace dualscape::operators
