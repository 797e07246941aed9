#include "dualscape/operators/layer_hessian.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "dense_curvature.hpp"
#include "dualscape/base/blas.hpp"
#include "support/dense_operator.hpp"

namespace dualscape::operators {
namespace {

using dualscape::testing::all_activations;
using dualscape::testing::all_losses;
using dualscape::testing::expect_close;
using dualscape::testing::expect_matches_dense;
using dualscape::testing::largest;
using dualscape::testing::normal_matrix;
using dualscape::testing::product;
using testing::NetworkProblem;

TEST(LayerHessian, AssembledOneEqualsTheOperator) {
  const Comm comm(MPI_COMM_WORLD);
  for (Activation activation : all_activations)
    for (Loss loss : all_losses)
      for (bool bias : {false, true}) {
        const NetworkProblem problem(activation, loss, bias);
        const auto linearisation = problem.linearisation(comm, {.tile = 2});
        for (Index l = 0; l < 3; ++l)
          for (bool with_bias : {false, true}) {
            if (with_bias && !bias) continue;
            const std::string name = problem.network.layer(l).name + (with_bias ? "+bias" : "");
            SCOPED_TRACE(testing::joined(problem, {name}));
            const auto assembled = assemble_layer_hessian(linearisation, l, with_bias);
            const Hessian<double> op(linearisation, select_block(problem.network, {name}));
            // Both are exact but for rounding, some dozen eps of the largest entry.
            expect_matches_dense(op, assembled.view(), 1e-14);
          }
      }
}

TEST(LayerHessian, IsTheSameBitsOnEveryRankAndAtAnyNumberOfThem) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  for (Index count : {2, 23}) {  // fewer samples than ranks included
    const NetworkProblem problem(Activation::gelu, Loss::softmax_mse, true, count);
    const auto parallel = assemble_layer_hessian(problem.linearisation(comm), 1, true);
    const auto serial = assemble_layer_hessian(problem.linearisation(self), 1, true);
    EXPECT_TRUE(std::ranges::equal(parallel.entries(), serial.entries()));
  }
}

TEST(LayerHessian, IsExactlySymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::softmax_mse, true);
  const auto h = assemble_layer_hessian(problem.linearisation(comm), 1, true);
  for (Index i = 0; i < h.rows(); ++i)
    for (Index j = 0; j < i; ++j) EXPECT_EQ(h(i, j), h(j, i));
}

TEST(LayerHessian, AddsAWideLayerInSeveralPieces) {
  // 400 inputs make 80,200 packed products a sample: 26 samples fill the buffer, and a lane has 60.
  const Comm comm(MPI_COMM_WORLD);
  constexpr Index features = 400;
  NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true, 60);
  problem.x = normal_matrix(60, features, 9);
  problem.network = nn::Network(features,
                                {{.name = "wide", .units = 2, .activation = Activation::tanh, .bias = true},
                                 {.name = "top", .units = 3, .bias = true}},
                                Loss::cross_entropy);
  problem.parameters = problem.network.initial_parameters(3, 1.0);
  const auto linearisation = problem.linearisation(comm, {}, 1);
  const auto assembled = assemble_layer_hessian(linearisation, 0, true);
  const Hessian<double> op(linearisation, select_block(problem.network, {"wide+bias"}));
  const auto v = normal_matrix(3, assembled.rows(), 10);
  const auto expected = product(op, v);
  Matrix<double> got(3, assembled.rows());
  gemm<double>(Op::none, Op::transpose, 1.0, v.view(), assembled.view(), 0.0, got.view());
  expect_close(got.view(), expected.view(), 1e-12 * largest(expected.view()));
}

TEST(LayerHessian, SinglePrecisionIsCloseToDouble) {
  const Comm comm(MPI_COMM_WORLD);
  constexpr auto eps = static_cast<double>(std::numeric_limits<float>::epsilon());
  for (Loss loss : all_losses) {
    const NetworkProblem problem(Activation::softplus, loss, true);
    for (Index l = 0; l < 3; ++l) {
      const auto exact = assemble_layer_hessian(problem.linearisation(comm), l, true);
      const auto single = assemble_layer_hessian(problem.linearisation<float>(comm), l, true);
      // Some dozen roundings in a row.
      expect_close(single.view(), exact.view(), 100 * eps * largest(exact.view()));
    }
  }
}

}  // namespace
}  // namespace dualscape::operators
