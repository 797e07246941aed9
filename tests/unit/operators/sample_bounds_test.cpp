#include "dualscape/operators/sample_bounds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dense_curvature.hpp"

namespace dualscape::operators {
namespace {

using dualscape::testing::normal_matrix;
using ::testing::ElementsAre;

constexpr Curvature bounded_kinds[] = {Curvature::hessian, Curvature::gauss_newton,
                                       Curvature::empirical_fisher};

/// A network of any shape with random weights and samples.
struct Problem {
  nn::Network network;
  std::vector<double> parameters;
  Matrix<double> x;
  std::vector<int> y;

  /// `widths`: inputs, hidden layers, classes. Large scales saturate the softmax, mostly on wrong classes.
  Problem(std::vector<Index> widths, Activation activation, Loss loss, bool bias, double scale, Index samples)
      : network(widths.front(), layers(widths, activation, bias), loss),
        parameters(network.initial_parameters(7, scale)),
        x(normal_matrix(samples, widths.front(), 3)) {
    for (Index i = 0; i < samples; ++i) y.push_back(static_cast<int>(i % widths.back()));
  }

  static std::vector<nn::LayerSpec> layers(const std::vector<Index>& widths, Activation activation,
                                           bool bias) {
    std::vector<nn::LayerSpec> specs;
    for (std::size_t l = 1; l < widths.size(); ++l)
      specs.push_back({.name = "dense" + std::to_string(l),
                       .units = widths[l],
                       .activation = l + 1 < widths.size() ? activation : Activation::identity,
                       .bias = bias});
    return specs;
  }

  /// The samples [first, first + count) alone.
  template <class Real = double>
  nn::Linearisation<Real> linearisation(const Comm& comm, Index first, Index count, int lanes) const {
    const Lanes split(count, lanes);
    const Index begin = first + split.first_sample(comm.rank(), comm.size());
    const Index end = first + split.first_sample(comm.rank() + 1, comm.size());
    return {comm,
            network,
            parameters,
            {.lanes = split,
             .labels = {y.begin() + begin, y.begin() + end},
             .inputs =
                 [this, begin](Index at, MatrixView<Real> out) {
                   for (Index i = 0; i < out.rows; ++i)
                     std::ranges::transform(x.row(begin + at + i), out.row(i).begin(),
                                            [](double value) { return static_cast<Real>(value); });
                 }},
            {.tile = 3}};
  }
};

/// Eigenvalues of h_p, from its products with all unit vectors.
std::vector<double> eigenvalues_of_sample(const Problem& problem, Curvature kind,
                                          const nn::BlockLayout& block, Index p) {
  const Comm self(MPI_COMM_SELF);
  const auto linearisation = problem.linearisation(self, p, 1, 1);
  Matrix<double> units(block.size, block.size);
  for (Index i = 0; i < block.size; ++i) units(i, i) = 1;
  Matrix<double> dense(block.size, block.size);
  make_curvature<double>(kind, linearisation, block)->apply(units.view(), dense.view());
  return symmetric_eigen(dense.view());
}

double norm_of(const std::vector<double>& eigenvalues) {
  return std::max(std::abs(eigenvalues.front()), std::abs(eigenvalues.back()));
}

/// Largest and mean ratio of bounds to norms.
struct Looseness {
  double largest = 0;
  double sum = 0;
  Index count = 0;
  void add(double ratio) {
    largest = std::max(largest, ratio);
    sum += ratio;
    ++count;
  }
};

void expect_bounds_hold(const Problem& problem, const std::vector<std::string>& names, Curvature kind,
                        Looseness& looseness) {
  const Comm comm(MPI_COMM_WORLD);
  const Index samples = std::ssize(problem.y);
  const nn::BlockLayout block = select_block(problem.network, names);
  const auto bounds = sample_bounds(kind, problem.linearisation(comm, 0, samples, 4), block);
  ASSERT_EQ(std::ssize(bounds), samples);
  for (Index p = comm.rank(); p < samples; p += comm.size()) {  // the ranks share the dense work
    const double bound = bounds[static_cast<std::size_t>(p)];
    const double norm = norm_of(eigenvalues_of_sample(problem, kind, block, p));
    // Entries of some 1e4 at most, a few hundred roundings of them.
    EXPECT_LE(norm, bound * (1 + 1e-10) + 1e-12)
        << name_of(kind) << " " << name_of(problem.network.loss()) << " "
        << name_of(problem.network.layer(0).activation) << " " << block_name(names) << " sample " << p;
    if (norm > 1e-8) looseness.add(bound / norm);
  }
}

TEST(SampleBounds, HoldForEveryKindOfNetworkBlockAndLoss) {
  Looseness looseness;
  for (const double scale : {1.5, 6.0})
    for (const Loss loss : dualscape::testing::all_losses)
      for (const Activation activation : {Activation::relu, Activation::tanh, Activation::gelu})
        for (const std::vector<Index>& widths :
             std::vector<std::vector<Index>>{{4, 5, 4, 3}, {6, 3, 4}, {3, 4, 3, 4, 2}}) {
          const Problem problem(widths, activation, loss, true, scale, 5);
          std::vector<std::vector<std::string>> blocks = {{"all"}, {"dense1"}, {"dense1", "dense2+bias"}};
          if (widths.size() > 3) blocks.push_back({"dense1+bias", "dense3"});
          for (const auto& names : blocks)
            for (const Curvature kind : bounded_kinds) expect_bounds_hold(problem, names, kind, looseness);
        }
  RecordProperty("largest_ratio", std::to_string(looseness.largest));
  RecordProperty("mean_ratio", std::to_string(looseness.sum / static_cast<double>(looseness.count)));
}

TEST(SampleBounds, AreAsTightAsTheirTraces) {
  const Comm comm(MPI_COMM_WORLD);
  const Index samples = 6;
  for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
    const Problem problem({4, 5, 4, 3}, Activation::tanh, loss, true, 2.0, samples);
    const nn::BlockLayout block = select_block(problem.network, {"all"});
    const auto linearisation = problem.linearisation(comm, 0, samples, 4);
    const auto gauss_newton = sample_bounds(Curvature::gauss_newton, linearisation, block);
    const auto fisher = sample_bounds(Curvature::empirical_fisher, linearisation, block);
    for (Index p = 0; p < samples; ++p) {
      const auto at = static_cast<std::size_t>(p);
      double trace = 0;
      for (const double value : eigenvalues_of_sample(problem, Curvature::gauss_newton, block, p))
        trace += value;
      // Cross-entropy: tr J^T s J = sum_c p_c k_c^2 - |sum_c p_c J'_c|^2 is at least p_t of the bound, by
      // Cauchy and Schwarz, and p_t at least 1/C. mse: the bound is the trace.
      const double most = loss == Loss::mse ? trace : 3 * trace;
      EXPECT_GE(gauss_newton[at], trace * (1 - 1e-10));
      EXPECT_LE(gauss_newton[at], most * (1 + 1e-10));
      const double norm = norm_of(eigenvalues_of_sample(problem, Curvature::empirical_fisher, block, p));
      EXPECT_NEAR(fisher[at], norm, 1e-10 * norm) << "of rank one: exact";
    }
  }
}

TEST(SampleBounds, HaveTheSameBitsAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Index samples = 29;
  const Problem problem({4, 5, 4, 3}, Activation::gelu, Loss::softmax_mse, true, 2.0, samples);
  const nn::BlockLayout block = select_block(problem.network, {"all"});
  for (const Curvature kind : bounded_kinds) {
    EXPECT_EQ(sample_bounds(kind, problem.linearisation(comm, 0, samples, 8), block),
              sample_bounds(kind, problem.linearisation(self, 0, samples, 8), block));
    EXPECT_EQ(sample_bounds(kind, problem.linearisation<float>(comm, 0, samples, 8), block),
              sample_bounds(kind, problem.linearisation<float>(self, 0, samples, 8), block));
  }
  EXPECT_THROW(
      sample_bounds(Curvature::gradient_covariance, problem.linearisation(comm, 0, samples, 8), block),
      std::logic_error);
}

TEST(SampleBounds, OfManyClassesArePassedBackInPieces) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem({4, 5, 37}, Activation::relu, Loss::cross_entropy, false, 3.0, 4);
  Looseness looseness;
  expect_bounds_hold(problem, {"dense1"}, Curvature::gauss_newton, looseness);
  expect_bounds_hold(problem, {"dense1"}, Curvature::hessian, looseness);
}

TEST(SampleBounds, OfClassesThatHardlyMatterNeedNoPassOfTheirOwn) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem({4, 6, 5, 6, 9}, Activation::tanh, Loss::cross_entropy, true, 3.0, 8);
  Looseness looseness;
  for (const auto& names : std::vector<std::vector<std::string>>{{"all"}, {"dense1"}, {"dense2+bias"}})
    for (const Curvature kind : {Curvature::gauss_newton, Curvature::hessian})
      expect_bounds_hold(problem, names, kind, looseness);

  // Where three classes alone are possible, the bound has their rows as they are: as tight as the trace.
  Problem three = problem;
  const nn::Layer& last = three.network.layer(3);
  for (Index c = 3; c < last.out; ++c) three.parameters[static_cast<std::size_t>(last.bias_offset + c)] = -80;
  const nn::BlockLayout block = select_block(three.network, {"all"});
  const auto bounds = sample_bounds(Curvature::gauss_newton, three.linearisation(comm, 0, 8, 4), block);
  for (Index p = 0; p < 8; ++p) {
    double trace = 0;
    for (const double value : eigenvalues_of_sample(three, Curvature::gauss_newton, block, p)) trace += value;
    EXPECT_LE(bounds[static_cast<std::size_t>(p)], 3 * trace * (1 + 1e-10)) << p;
  }
}

TEST(SpectralNormBound, IsAboveTheNormByLittle) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{40, 7}, {7, 40}, {30, 30}, {1, 5}}) {
    const Matrix<double> w = normal_matrix(rows, cols, 5);
    Matrix<double> gram(rows, rows);
    gemm<double>(Op::none, Op::transpose, 1.0, w.view(), w.view(), 0.0, gram.view());
    const double norm = std::sqrt(symmetric_eigen(gram.view()).back());
    const double smaller = static_cast<double>(std::min(rows, cols));
    EXPECT_GE(spectral_norm_bound(w.view()), norm * (1 - 1e-13));
    EXPECT_LE(spectral_norm_bound(w.view()), norm * std::pow(smaller, 1.0 / 128) * (1 + 1e-10));
  }
  EXPECT_EQ(spectral_norm_bound(Matrix<double>(3, 4).view()), 0);
}

TEST(ChooseSamples, DropsTheSmallestWithinTheBudget) {
  const std::vector<double> bounds = {3, 0, 1, 8, 1, 2};
  const auto choice = [&](double budget) { return choose_samples(bounds, budget); };
  EXPECT_THAT(choice(0).kept, ElementsAre(0, 2, 3, 4, 5)) << "what adds nothing is always left out";
  EXPECT_EQ(choice(0).bound, 0);
  EXPECT_THAT(choice(1.0 / 6).kept, ElementsAre(0, 3, 4, 5)) << "of equal ones the earlier is dropped";
  EXPECT_THAT(choice(4.0 / 6).kept, ElementsAre(0, 3));
  EXPECT_EQ(choice(4.0 / 6).dropped, 4);
  EXPECT_EQ(choice(6.9 / 6).bound, 4.0 / 6);
  EXPECT_THAT(choice(100).kept, ElementsAre(3)) << "one stays";
  EXPECT_THAT(choose_samples(std::vector<double>{1, std::numeric_limits<double>::infinity()}, 1e300).kept,
              ElementsAre(1));
  EXPECT_THAT(largest_samples(bounds, 2), ElementsAre(0, 3));
  EXPECT_THAT(largest_samples(bounds, 9), ElementsAre(0, 1, 2, 3, 4, 5));
}

}  // namespace
}  // namespace dualscape::operators
