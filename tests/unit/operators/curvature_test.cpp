#include "dualscape/operators/curvature.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dense_curvature.hpp"
#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "support/dense_operator.hpp"
#include "support/error_of.hpp"

namespace dualscape::operators {
namespace {

using dualscape::testing::all_activations;
using dualscape::testing::all_losses;
using dualscape::testing::error_of;
using dualscape::testing::expect_close;
using dualscape::testing::expect_matches_dense;
using dualscape::testing::largest;
using dualscape::testing::normal_matrix;
using dualscape::testing::product;
using dualscape::testing::products_with_units;
using testing::NetworkProblem;

/// Calls visit(problem, bias) for every combination, and for networks whose layers differ.
template <class Visit>
void for_each_problem(const Visit& visit) {
  for (Loss loss : all_losses)
    for (bool bias : {false, true}) {
      for (Activation activation : all_activations) visit(NetworkProblem(activation, loss, bias), bias);
      visit(NetworkProblem(Activation::relu, Activation::tanh, loss, bias), bias);
      visit(NetworkProblem(Activation::softplus, Activation::relu, loss, bias), bias);
    }
}

/// Every kind of block of every problem against the dense matrix.
template <class Dense>
void expect_every_block(Curvature kind, const Dense& dense) {
  const Comm comm(MPI_COMM_WORLD);
  for_each_problem([&](const NetworkProblem& problem, bool bias) {
    const auto whole = testing::from_root(comm, [&] { return dense(problem); });
    const auto linearisation = problem.linearisation(comm);
    for (const auto& names : testing::kinds_of_block(bias)) {
      SCOPED_TRACE(testing::joined(problem, names));
      const auto block = select_block(problem.network, names);
      const auto op = make_curvature<double>(kind, linearisation, block);
      expect_matches_dense(*op, testing::restricted(problem.network, block, whole).view(),
                           testing::tolerance);
    }
  });
}

TEST(Hessian, MatchesDifferencesOfTheGradient) {
  expect_every_block(Curvature::hessian, testing::dense_hessian);
}

TEST(GaussNewton, MatchesItsDefinition) {
  expect_every_block(Curvature::gauss_newton, testing::dense_gauss_newton);
}

TEST(EmpiricalFisher, MatchesItsDefinition) {
  expect_every_block(Curvature::empirical_fisher, testing::dense_empirical_fisher);
}

TEST(GradientCovariance, IsTheEmpiricalFisherLessTheMeansShare) {
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : all_losses) {
    const NetworkProblem problem(Activation::gelu, Activation::relu, loss, true);
    const auto whole = testing::from_root(comm, [&] {
      auto dense = testing::dense_empirical_fisher(problem);
      const auto g = testing::gradient_at(problem, problem.parameters);
      for (Index i = 0; i < dense.rows(); ++i) axpy(-g[static_cast<std::size_t>(i)], g, dense.row(i));
      return dense;
    });
    const auto linearisation = problem.linearisation(comm, {.tile = 2});
    for (const auto& names : testing::kinds_of_block(true)) {
      SCOPED_TRACE(testing::joined(problem, names));
      const auto block = select_block(problem.network, names);
      expect_matches_dense(*make_curvature<double>(Curvature::gradient_covariance, linearisation, block),
                           testing::restricted(problem.network, block, whole).view(), testing::tolerance);
    }
  }
}

TEST(MeanGradient, MatchesDifferencesOfTheLoss) {
  const Comm comm(MPI_COMM_WORLD);
  for_each_problem([&](const NetworkProblem& problem, bool bias) {
    const auto slopes = testing::from_root(comm, [&] {
      const Comm self(MPI_COMM_SELF);
      return testing::differences(problem.parameters, [&](const auto& w) {
        nn::Model<double> model(problem.network);
        model.set_parameters(w);
        return std::vector{nn::evaluate(self, model, problem.samples(self)).loss};
      });
    });
    const std::vector<double> whole(slopes.entries().begin(), slopes.entries().end());
    const auto linearisation = problem.linearisation(comm);
    for (const auto& names : testing::kinds_of_block(bias)) {
      SCOPED_TRACE(testing::joined(problem, names));
      const auto block = select_block(problem.network, names);
      const auto expected = restrict_to_block(problem.network, block, whole);
      const auto gradient = mean_gradient(linearisation, block);
      ASSERT_EQ(gradient.size(), expected.size());
      expect_close({gradient.data(), 1, block.size}, {expected.data(), 1, block.size},
                   testing::tolerance * largest(slopes.view()));
    }
  });
}

TEST(Hessian, RaggedTilesWeighEverySampleAlike) {
  // 23 samples in lanes of 2 and 3, or one lane, and tiles of 2: the mean is the same.
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::gelu, Loss::softmax_mse, true);
  const auto block = select_block(problem.network, {"all"});
  const auto whole = problem.linearisation(comm, {}, 1);
  const auto expected = products_with_units(*make_curvature<double>(Curvature::hessian, whole, block), 8);
  for (const auto& [tile, lanes] : {std::pair<Index, int>{2, 8}, {5, 1}, {3, 4}, {1, 16}}) {
    for (std::uint64_t budget : {std::uint64_t{1} << 30, std::uint64_t{0}}) {
      const auto cut = problem.linearisation(comm, {.tile = tile, .cache_bytes = budget}, lanes);
      const auto op = make_curvature<double>(Curvature::hessian, cut, block);
      expect_close(products_with_units(*op, 8).view(), expected.view(), 1e-14 * largest(expected.view()));
    }
  }
}

TEST(Hessian, WorksOnASingleLayerNetwork) {
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : all_losses) {
    NetworkProblem problem(Activation::tanh, loss, true);
    problem.network = nn::Network(
        4, {{.name = "only", .units = NetworkProblem::classes, .activation = Activation::tanh, .bias = true}},
        loss);
    problem.parameters = problem.network.initial_parameters(3, 2.0);
    const auto linearisation = problem.linearisation(comm);
    const auto block = select_block(problem.network, {"only+bias"});
    expect_matches_dense(*make_curvature<double>(Curvature::hessian, linearisation, block),
                         testing::dense_hessian(problem).view(), testing::tolerance);
    expect_matches_dense(*make_curvature<double>(Curvature::gauss_newton, linearisation, block),
                         testing::dense_gauss_newton(problem).view(), testing::tolerance);
  }
}

TEST(Fisher, IsGaussNewtonOfALikelihood) {
  const Comm comm(MPI_COMM_WORLD);
  for (Loss loss : {Loss::cross_entropy, Loss::mse}) {
    const NetworkProblem problem(Activation::sigmoid, loss, true);
    const auto linearisation = problem.linearisation(comm);
    const auto block = select_block(problem.network, {"all"});
    const auto fisher =
        products_with_units(*make_curvature<double>(Curvature::fisher, linearisation, block), 4);
    const auto gauss_newton =
        products_with_units(*make_curvature<double>(Curvature::gauss_newton, linearisation, block), 4);
    EXPECT_THAT(fisher.entries(), ::testing::ElementsAreArray(gauss_newton.entries()));
  }
  const NetworkProblem problem(Activation::sigmoid, Loss::softmax_mse, true);
  const auto linearisation = problem.linearisation(comm);
  const auto message = error_of<UsageError>([&] {
    make_curvature<double>(Curvature::fisher, linearisation, select_block(problem.network, {"all"}));
  });
  EXPECT_THAT(message, ::testing::HasSubstr("has no meaning with network.loss = \"softmax-mse\""));
}

TEST(Curvature, IsPositiveWhereItMustBe) {
  const Comm comm(MPI_COMM_WORLD);
  for_each_problem([&](const NetworkProblem& problem, bool) {
    const auto linearisation = problem.linearisation(comm);
    const auto block = select_block(problem.network, {"all"});
    for (Curvature kind :
         {Curvature::gauss_newton, Curvature::empirical_fisher, Curvature::gradient_covariance}) {
      auto dense = products_with_units(*make_curvature<double>(kind, linearisation, block), 8);
      const double scale = largest(dense.view());
      EXPECT_GE(symmetric_eigen(dense.view()).front(), -1e-13 * scale) << name_of(kind);
    }
  });
}

TEST(Curvature, ProductsAreLinearAndLeaveTheirArgumentAlone) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::gelu, Loss::cross_entropy, true);
  const auto linearisation = problem.linearisation(comm);
  const auto block = select_block(problem.network, {"dense1", "dense2+bias"});
  for (Curvature kind : {Curvature::hessian, Curvature::gauss_newton, Curvature::empirical_fisher,
                         Curvature::gradient_covariance}) {
    const auto op = make_curvature<double>(kind, linearisation, block);
    const Index local = op->domain().count(comm.rank());
    auto v = normal_matrix(3, local, 40 + static_cast<std::uint32_t>(comm.rank()));
    for (Index i = 0; i < local; ++i) v(2, i) = 3 * v(0, i) - v(1, i);
    const auto kept = v;
    Matrix<double> hv(3, local);
    op->apply(v.view(), hv.view());
    EXPECT_THAT(v.entries(), ::testing::ElementsAreArray(kept.entries()));
    const double scale = largest(hv.view());
    for (Index i = 0; i < local; ++i) EXPECT_NEAR(hv(2, i), 3 * hv(0, i) - hv(1, i), 1e-13 * (1 + scale));
  }
}

TEST(Curvature, ActsOnStridedBlocksOfVectors) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, true);
  const auto linearisation = problem.linearisation(comm);
  const auto op =
      make_curvature<double>(Curvature::hessian, linearisation, select_block(problem.network, {"all"}));
  const Index local = op->domain().count(comm.rank());
  const auto wide = normal_matrix(3, local + 2, 50 + static_cast<std::uint32_t>(comm.rank()));
  Matrix<double> in(3, local), out(3, local), strided(3, local + 4);
  for (Index j = 0; j < 3; ++j) std::ranges::copy(wide.view().cols_from(1, local).row(j), in.row(j).begin());
  op->apply(in.view(), out.view());
  op->apply(wide.view().cols_from(1, local), strided.view().cols_from(2, local));
  for (Index j = 0; j < 3; ++j) {
    EXPECT_THAT(strided.view().cols_from(2, local).row(j), ::testing::ElementsAreArray(out.row(j)));
    EXPECT_EQ(strided(j, 1), 0);
    EXPECT_EQ(strided(j, local + 2), 0);
  }
}

TEST(Curvature, SinglePrecisionIsCloseToDouble) {
  const Comm comm(MPI_COMM_WORLD);
  constexpr auto eps = static_cast<double>(std::numeric_limits<float>::epsilon());
  for_each_problem([&](const NetworkProblem& problem, bool) {
    const auto exact = problem.linearisation(comm);
    const auto single = problem.linearisation<float>(comm);
    for (const testing::Names& names : {testing::Names{"dense2"}, {"all"}}) {
      const auto block = select_block(problem.network, names);
      for (Curvature kind : {Curvature::hessian, Curvature::gauss_newton, Curvature::empirical_fisher,
                             Curvature::gradient_covariance}) {
        SCOPED_TRACE(testing::joined(problem, names));
        const auto dense = products_with_units(*make_curvature<double>(kind, exact, block), 8);
        // A dozen roundings in a row on the way up and down, each of numbers up to some times the result.
        expect_matches_dense(*make_curvature<float>(kind, single, block), dense.view(), 100 * eps, 100 * eps);
      }
    }
  });
}

TEST(Curvature, SinglePrecisionHoldsInAFittedNetwork) {
  // Large weights make every sample certain: losses and curvatures are tiny, and all that matters is their
  // relative precision.
  const Comm comm(MPI_COMM_WORLD);
  constexpr auto eps = static_cast<double>(std::numeric_limits<float>::epsilon());
  for (Loss loss : {Loss::cross_entropy, Loss::softmax_mse}) {
    NetworkProblem problem(Activation::relu, loss, false);
    for (double& w : problem.parameters) w *= 3;
    // Every sample gets the label the network predicts.
    const auto logits = testing::logits_at(problem, problem.parameters);
    for (Index i = 0; i < problem.count(); ++i) {
      std::vector<int> predicted(1);
      nn::predictions<double>({logits.data() + 3 * i, 1, 3}, predicted);
      problem.y[static_cast<std::size_t>(i)] = predicted[0];
    }
    // Those it is less sure of go.
    std::vector<Index> sure;
    for (Index i = 0; i < problem.count(); ++i) {
      std::vector<double> f(logits.begin() + 3 * i, logits.begin() + 3 * i + 3);
      std::ranges::sort(f);
      if (f[2] - f[1] > 8) sure.push_back(i);
    }
    ASSERT_GE(sure.size(), 4U);
    NetworkProblem fitted(Activation::relu, loss, false, std::ssize(sure));
    fitted.parameters = problem.parameters;
    for (Index i = 0; i < fitted.count(); ++i) {
      std::ranges::copy(problem.x.row(sure[static_cast<std::size_t>(i)]), fitted.x.row(i).begin());
      fitted.y[static_cast<std::size_t>(i)] =
          problem.y[static_cast<std::size_t>(sure[static_cast<std::size_t>(i)])];
    }
    const auto exact = fitted.linearisation(comm);
    const auto single = fitted.linearisation<float>(comm);
    const auto block = select_block(fitted.network, {"all"});
    const auto dense = products_with_units(*make_curvature<double>(Curvature::hessian, exact, block), 8);
    ASSERT_LT(largest(dense.view()), 0.1);
    ASSERT_GT(largest(dense.view()), 0);
    // exp(-f) with logits of some 30, rounded to eps f: 30 times the roundings of the moderate case.
    expect_matches_dense(*make_curvature<float>(Curvature::hessian, single, block), dense.view(), 1000 * eps,
                         1000 * eps);
  }
}

}  // namespace
}  // namespace dualscape::operators
