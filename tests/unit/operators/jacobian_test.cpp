#include "dualscape/operators/jacobian.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dense_curvature.hpp"
#include "dualscape/operators/composition.hpp"
#include "support/dense_operator.hpp"
#include "support/error_of.hpp"

namespace dualscape::operators {
namespace {

using dualscape::testing::all_losses;
using dualscape::testing::error_of;
using dualscape::testing::expect_close;
using dualscape::testing::expect_matches_dense;
using dualscape::testing::largest;
using dualscape::testing::normal_matrix;
using dualscape::testing::product;
using dualscape::testing::products_with_units;
using dualscape::testing::transposed;
using testing::NetworkProblem;

/// (N C) x M from differences of the logits.
Matrix<double> dense_jacobian(const NetworkProblem& problem, const nn::BlockLayout& block) {
  const auto slopes =
      testing::differences(problem.parameters, [&](const auto& w) { return testing::logits_at(problem, w); });
  std::vector<double> positions(problem.parameters.size());
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<double>(i);
  positions = restrict_to_block(problem.network, block, positions);
  Matrix<double> part(slopes.cols(), block.size);
  for (Index i = 0; i < part.rows(); ++i)
    for (Index j = 0; j < block.size; ++j)
      part(i, j) = slopes(static_cast<Index>(positions[static_cast<std::size_t>(j)]), i);
  return part;
}

double dot_of(const Matrix<double>& a, const Matrix<double>& b) {
  return dot(a.entries(), b.entries());
}

TEST(Jacobian, MatchesDifferencesOfTheLogits) {
  const Comm comm(MPI_COMM_WORLD);
  for (const auto& [first, second] :
       {std::pair{Activation::relu, Activation::tanh}, {Activation::gelu, Activation::relu}})
    for (bool bias : {false, true}) {
      const NetworkProblem problem(first, second, Loss::mse, bias);
      const auto linearisation = problem.linearisation(comm, {.tile = 2});
      for (const auto& names : testing::kinds_of_block(bias)) {
        SCOPED_TRACE(testing::joined(problem, names));
        const auto block = select_block(problem.network, names);
        const auto dense = testing::from_root(comm, [&] { return dense_jacobian(problem, block); });
        expect_matches_dense(Jacobian<double>(linearisation, block), dense.view(), testing::tolerance);
      }
    }
}

TEST(Jacobian, ItsTransposeIsItsAdjoint) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::softplus, Activation::tanh, Loss::cross_entropy, true);
  for (const auto& [tile, lanes] : {std::pair<Index, int>{256, 8}, {2, 8}, {5, 1}, {1, 16}}) {
    const auto linearisation = problem.linearisation(comm, {.tile = tile, .cache_bytes = 0}, lanes);
    const Jacobian<double> jacobian(linearisation, select_block(problem.network, {"all"}));
    const auto u = normal_matrix(3, jacobian.range().size(), 70);
    const auto v = normal_matrix(3, jacobian.domain().size(), 71);
    const auto jv = product(jacobian, v);
    const double forward = dot_of(u, jv);
    EXPECT_NEAR(forward, dot_of(product(jacobian, u, true), v),
                1e-14 * std::sqrt(dot_of(u, u) * dot_of(jv, jv)));
    const Transposed transpose(jacobian);
    EXPECT_THAT(product(transpose, u).entries(),
                ::testing::ElementsAreArray(product(jacobian, u, true).entries()));
    EXPECT_THAT(product(transpose, v, true).entries(), ::testing::ElementsAreArray(jv.entries()));
  }
}

template <class Real>
void expect_same_jacobian(Index count, int lanes) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const NetworkProblem problem(Activation::gelu, Loss::softmax_mse, true, count);
  const auto parallel = problem.linearisation<Real>(comm, {.tile = 3}, lanes);
  const auto serial = problem.linearisation<Real>(self, {.tile = 3}, lanes);
  const auto block = select_block(problem.network, {"dense1", "dense3+bias"});
  const Jacobian<Real> here(parallel, block);
  const Jacobian<Real> there(serial, block);
  for (Index vectors : {1, 4}) {
    const auto u = normal_matrix(vectors, here.range().size(), 72);
    const auto v = normal_matrix(vectors, block.size, 73);
    EXPECT_THAT(product(here, v).entries(), ::testing::ElementsAreArray(product(there, v).entries()));
    EXPECT_THAT(product(here, u, true).entries(),
                ::testing::ElementsAreArray(product(there, u, true).entries()));
  }
}

TEST(Jacobian, ProductsHaveTheSameBitsAtAnyNumberOfRanksEvenIdleOnes) {
  expect_same_jacobian<double>(23, 8);
  expect_same_jacobian<float>(23, 8);
  for (Index count : {1, 2, 3}) expect_same_jacobian<double>(count, 8);
  expect_same_jacobian<double>(23, 1);
}

TEST(Jacobian, GaussNewtonIsItsComposition) {
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : all_losses) {
    const NetworkProblem problem(Activation::tanh, loss, true);
    const auto linearisation = problem.linearisation(comm, {.tile = 2});
    for (const testing::Names& names : {testing::Names{"dense2"}, {"dense1", "dense3+bias"}, {"all"}}) {
      SCOPED_TRACE(testing::joined(problem, names));
      const auto block = select_block(problem.network, names);
      const Jacobian<double> j(linearisation, block);
      const LossCurvatureOperator<double> s(linearisation, nn::LossCurvature::psd);
      const Transposed jt(j);
      const Product sj(s, j);
      const Product jtsj(jt, sj, true);
      const Combination mean({{1.0 / static_cast<double>(problem.count()), jtsj}});
      const auto whole =
          products_with_units(*make_curvature<double>(Curvature::gauss_newton, linearisation, block), 24);
      expect_matches_dense(mean, transposed(whole.view()).view(), 1e-14);
    }
  }
}

TEST(LossCurvatureOperator, IsTheLossHessianOfEachSample) {
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : all_losses)
    for (bool psd : {false, true}) {
      const NetworkProblem problem(Activation::relu, loss, false);
      const auto linearisation = problem.linearisation(comm, {.tile = 2});
      const LossCurvatureOperator<double> s(linearisation,
                                            psd ? nn::LossCurvature::psd : nn::LossCurvature::full);
      const auto logits = testing::logits_at(problem, problem.parameters);
      constexpr Index classes = NetworkProblem::classes;
      Matrix<double> dense(problem.count() * classes, problem.count() * classes);
      for (Index p = 0; p < problem.count(); ++p) {
        const testing::NaiveLoss naive(
            loss, std::span(logits).subspan(static_cast<std::size_t>(p * classes), classes),
            problem.y[static_cast<std::size_t>(p)]);
        const auto block = naive.hessian(psd);
        for (Index c = 0; c < classes; ++c)
          for (Index e = 0; e < classes; ++e)
            dense(p * classes + c, p * classes + e) =
                static_cast<double>(block[static_cast<std::size_t>(c)][static_cast<std::size_t>(e)]);
      }
      expect_matches_dense(s, dense.view(), 1e-13);
    }
}

TEST(Composition, SumsScalesAndShifts) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::gelu, Loss::cross_entropy, true);
  const auto linearisation = problem.linearisation(comm);
  const auto block = select_block(problem.network, {"dense2", "dense3"});
  const auto hessian = make_curvature<double>(Curvature::hessian, linearisation, block);
  const auto fisher = make_curvature<double>(Curvature::empirical_fisher, linearisation, block);
  const Combination sum({{2.0, *hessian}, {-0.5, *fisher}}, 0.25);
  EXPECT_TRUE(sum.symmetric());
  const auto h = products_with_units(*hessian, 24);
  const auto f = products_with_units(*fisher, 24);
  Matrix<double> dense(block.size, block.size);
  for (Index i = 0; i < block.size; ++i)
    for (Index k = 0; k < block.size; ++k) dense(i, k) = 2 * h(k, i) - 0.5 * f(k, i) + (i == k ? 0.25 : 0.0);
  expect_matches_dense(sum, dense.view(), 1e-14);

  // A rectangular one, and its transpose.
  const Jacobian<double> jacobian(linearisation, block);
  const Product curved(jacobian, *hessian);
  EXPECT_FALSE(curved.symmetric());
  const Combination both({{1.0, curved}, {3.0, jacobian}});
  EXPECT_FALSE(both.symmetric());
  const auto j = products_with_units(jacobian, 24, true);
  Matrix<double> jh(j.rows(), block.size);
  gemm<double>(Op::none, Op::transpose, 1.0, j.view(), h.view(), 0.0, jh.view());
  axpy(3.0, j.entries(), jh.entries());
  expect_matches_dense(both, jh.view(), 1e-13);
}

TEST(Composition, RefusesWhatDoesNotFit) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, false);
  const auto linearisation = problem.linearisation(comm);
  const auto one =
      make_curvature<double>(Curvature::hessian, linearisation, select_block(problem.network, {"dense1"}));
  const auto other =
      make_curvature<double>(Curvature::hessian, linearisation, select_block(problem.network, {"dense3"}));
  const Jacobian<double> jacobian(linearisation, select_block(problem.network, {"dense1"}));
  EXPECT_THAT(error_of<std::logic_error>([&] {
                const Combination sum({{1, *one}, {1, *other}});
              }),
              ::testing::HasSubstr("the terms have different distributions"));
  EXPECT_THAT(error_of<std::logic_error>([&] {
                const Combination shifted({{1, jacobian}}, 1.0);
              }),
              ::testing::HasSubstr("only a square operator can be shifted"));
  EXPECT_THAT(error_of<std::logic_error>([&] { const Product product(*one, jacobian); }),
              ::testing::HasSubstr("are not the arguments of the first"));
}

}  // namespace
}  // namespace dualscape::operators
