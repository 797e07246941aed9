#include "dualscape/nn/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/nn/bilinear.hpp"
#include "dualscape/nn/model.hpp"
#include "dualscape/nn/tangent.hpp"
#include "support/error_of.hpp"
#include "support/network_problem.hpp"

namespace dualscape::nn {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::normal_matrix;

Network three_layers() {
  return Network(7,
                 {{.name = "first", .units = 5, .activation = Activation::tanh, .bias = true},
                  {.name = "second", .units = 4, .activation = Activation::relu},
                  {.name = "third", .units = 3, .activation = Activation::relu, .bias = true}},
                 Loss::mse);
}

TEST(Network, LaysParametersOutLayerByLayerWeightBeforeBias) {
  const Network net = three_layers();
  EXPECT_EQ(net.depth(), 3);
  EXPECT_EQ(net.features(), 7);
  EXPECT_EQ(net.outputs(), 3);
  EXPECT_EQ(net.parameters(), 35 + 5 + 20 + 12 + 3);
  EXPECT_EQ(net.loss(), Loss::mse);
  const Index weight_offset[] = {0, 40, 60};
  const Index bias_offset[] = {35, 60, 72};
  const Index bias_size[] = {5, 0, 3};
  const Index in[] = {7, 5, 4};
  for (Index l = 0; l < 3; ++l) {
    EXPECT_EQ(net.layer(l).in, in[l]);
    EXPECT_EQ(net.layer(l).weight_size, net.layer(l).in * net.layer(l).out);
    EXPECT_EQ(net.layer(l).weight_offset, weight_offset[l]);
    EXPECT_EQ(net.layer(l).bias_offset, bias_offset[l]);
    EXPECT_EQ(net.layer(l).bias_size(), bias_size[l]);
  }
  const BlockLayout whole = whole_network(net);
  EXPECT_EQ(whole.size, net.parameters());
  EXPECT_THAT(whole.weight_offset, ::testing::ElementsAre(0, 40, 60));
  EXPECT_THAT(whole.bias_offset, ::testing::ElementsAre(35, BlockLayout::absent, 72));
}

TEST(Network, FindsLayersByNameAndEndsInLogits) {
  const Network net = three_layers();
  EXPECT_EQ(net.find("second"), 1);
  EXPECT_EQ(net.find("fourth"), -1);
  EXPECT_EQ(net.layer(1).activation, Activation::relu);
  EXPECT_EQ(net.layer(2).activation, Activation::identity);
}

TEST(Network, RefusesEmptyOnes) {
  EXPECT_THAT(error_of<UsageError>([] { Network(3, {}, Loss::mse); }), HasSubstr("at least one layer"));
  EXPECT_THAT(error_of<UsageError>([] { Network(3, {{.name = "narrow", .units = 0}}, Loss::mse); }),
              HasSubstr("layer 'narrow' of the network is empty"));
  EXPECT_THAT(error_of<UsageError>([] { Network(0, {{.name = "blind", .units = 2}}, Loss::mse); }),
              HasSubstr("layer 'blind' of the network is empty"));
}

TEST(Network, InitialParametersFillTheirBounds) {
  const Network net = three_layers();
  const auto w = net.initial_parameters(3, 2.0);
  ASSERT_EQ(std::ssize(w), net.parameters());
  for (const Layer& layer : net.layers()) {
    const double bound = 2.0 / std::sqrt(static_cast<double>(layer.in));
    const auto part = std::span(w).subspan(static_cast<std::size_t>(layer.weight_offset),
                                           static_cast<std::size_t>(layer.weight_size + layer.bias_size()));
    for (double x : part) EXPECT_LE(std::abs(x), bound);
    // At least twelve uniform numbers: all within half the bound would be chance 1 in 4096, and the seed is
    // fixed.
    EXPECT_GT(std::ranges::max(part), bound / 2);
    EXPECT_LT(std::ranges::min(part), -bound / 2);
  }
}

TEST(Network, InitialParametersDependOnTheSeedAlone) {
  const Network net = three_layers();
  const auto w = net.initial_parameters(3, 1.0);
  EXPECT_EQ(net.initial_parameters(3, 1.0), w);
  const auto other = net.initial_parameters(4, 1.0);
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NE(other[i], w[i]);
  auto tripled = w;
  for (double& x : tripled) x *= 3;
  const auto scaled = net.initial_parameters(3, 3.0);
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_DOUBLE_EQ(scaled[i], tripled[i]);
  // A layer draws from a stream of its own: no layer repeats another's numbers, and adding one above leaves
  // those below alone.
  for (std::size_t i = 0; i < 12; ++i)
    EXPECT_GT(std::abs(w[i] * std::sqrt(7.0) - w[40 + i] * std::sqrt(5.0)), 1e-9);
  const Network shallow(7, {{.name = "first", .units = 5, .bias = true}}, Loss::mse);
  EXPECT_THAT(
      shallow.initial_parameters(3, 1.0),
      ::testing::ElementsAreArray(std::span(w).first(static_cast<std::size_t>(shallow.parameters()))));
}

double inner(std::span<const double> x, std::span<const double> y) {
  return dot(x, y);
}

TEST(BilinearMap, AdjointsPassTheInnerProductOn) {
  constexpr Index n = 6;
  const Layer layer{.kind = LayerKind::dense, .in = 5, .out = 3, .weight_size = 15};
  const auto map = make_bilinear_map<double>(layer);
  const auto w = normal_matrix(3, 5, 1), a = normal_matrix(n, 5, 2), d = normal_matrix(n, 3, 3);
  Matrix<double> z(n, 3), g(n, 5), weight(3, 5);
  map->apply(w.entries(), a.view(), Write::replace, z.view());
  map->adjoint_input(w.entries(), d.view(), Write::replace, g.view());
  map->adjoint_weight(d.view(), a.view(), Write::add, weight.entries());
  const double form = inner(d.entries(), z.entries());
  ASSERT_GT(std::abs(form), 1e-3);
  // Ninety products of numbers of order one.
  EXPECT_NEAR(inner(g.entries(), a.entries()), form, 1e-13);
  EXPECT_NEAR(inner(weight.entries(), w.entries()), form, 1e-13);
  for (Index s = 0; s < n; ++s)
    for (Index o = 0; o < 3; ++o) EXPECT_NEAR(z(s, o), inner(w.row(o), a.row(s)), 1e-14);
}

TEST(BilinearMap, AddsOrReplacesAsAskedInStridedViews) {
  constexpr Index n = 4;
  const Layer layer{.kind = LayerKind::dense, .in = 5, .out = 3, .weight_size = 15};
  const auto map = make_bilinear_map<double>(layer);
  const auto w = normal_matrix(3, 5, 1), a = normal_matrix(n, 5, 2), d = normal_matrix(n, 3, 3);
  Matrix<double> z(n, 3), g(n, 5), wide(n, 9), weight(3, 5), twice(3, 5);
  map->apply(w.entries(), a.view(), Write::replace, z.view());
  map->adjoint_input(w.entries(), d.view(), Write::replace, g.view());
  map->adjoint_weight(d.view(), a.view(), Write::add, weight.entries());
  map->adjoint_weight(d.view(), a.view(), Write::add, twice.entries());
  map->adjoint_weight(d.view(), a.view(), Write::add, twice.entries());
  std::ranges::fill(wide.entries(), 1.0);
  map->apply(w.entries(), a.view(), Write::add, wide.view().cols_from(2, 3));
  for (Index s = 0; s < n; ++s)
    for (Index o = 0; o < 9; ++o) EXPECT_NEAR(wide(s, o), o < 2 || o > 4 ? 1 : 1 + z(s, o - 2), 1e-14);
  map->adjoint_input(w.entries(), d.view(), Write::add, wide.view().cols_from(4, 5));
  for (Index s = 0; s < n; ++s) EXPECT_NEAR(wide(s, 8), 1 + g(s, 4), 1e-14);
  std::ranges::fill(wide.entries(), std::nan(""));
  map->apply(w.entries(), a.view(), Write::replace, wide.view().cols_from(2, 3));
  for (Index s = 0; s < n; ++s) EXPECT_NEAR(wide(s, 3), z(s, 1), 1e-14);
  for (Index i = 0; i < 15; ++i) EXPECT_NEAR(twice.data()[i], 2 * weight.data()[i], 1e-13);
  std::ranges::fill(twice.entries(), std::nan(""));
  map->adjoint_weight(d.view(), a.view(), Write::replace, twice.entries());
  for (Index i = 0; i < 15; ++i) EXPECT_NEAR(twice.data()[i], weight.data()[i], 1e-14);
}

TEST(BilinearMap, ManyDirectionsAtOnceAreTheSameAsOneByOne) {
  constexpr Index n = 4;
  constexpr Index k = 3;
  const Layer layer{.kind = LayerKind::dense, .in = 5, .out = 2, .weight_size = 10};
  const auto map = make_bilinear_map<double>(layer);
  const auto w = normal_matrix(k, 10, 1);
  const auto a = normal_matrix(n, 5, 2), d = normal_matrix(n, 2, 3);
  const auto as = normal_matrix(n, k * 5, 4), ds = normal_matrix(n, k * 2, 5);
  Matrix<double> z(n, k * 2), g(n, k * 5), of_d(k, 10), of_a(k, 10);
  map->apply_many(w.entries(), k, a.view(), Write::add, z.view());
  map->apply_many(w.entries(), k, a.view(), Write::add, z.view());
  map->adjoint_input_many(w.entries(), k, d.view(), Write::replace, g.view());
  map->add_adjoint_weight_many(ds.view(), a.view(), k, of_d.entries());
  map->add_adjoint_weight_of_many(d.view(), as.view(), k, of_a.entries());
  for (Index j = 0; j < k; ++j) {
    Matrix<double> z1(n, 2), g1(n, 5), of_d1(1, 10), of_a1(1, 10);
    map->apply(w.row(j), a.view(), Write::replace, z1.view());
    map->adjoint_input(w.row(j), d.view(), Write::replace, g1.view());
    map->adjoint_weight(ds.view().cols_from(2 * j, 2), a.view(), Write::add, of_d1.entries());
    map->adjoint_weight(d.view(), as.view().cols_from(5 * j, 5), Write::add, of_a1.entries());
    for (Index s = 0; s < n; ++s) {
      for (Index o = 0; o < 2; ++o) EXPECT_NEAR(z(s, 2 * j + o), 2 * z1(s, o), 1e-14);
      for (Index i = 0; i < 5; ++i) EXPECT_NEAR(g(s, 5 * j + i), g1(s, i), 1e-14);
    }
    for (Index i = 0; i < 10; ++i) {
      EXPECT_NEAR(of_d(j, i), of_d1(0, i), 1e-14);
      EXPECT_NEAR(of_a(j, i), of_a1(0, i), 1e-14);
    }
  }
}

TEST(Model, ComputesTheNetworkLayerByLayer) {
  const Network net = three_layers();
  const auto w = net.initial_parameters(3, 1.0);
  Model<double> model(net);
  model.set_parameters(w);
  const auto x = normal_matrix(2, 7, 4);
  auto act = model.make_activities(3);  // one row more than is used
  act.count = 2;
  std::ranges::copy(x.entries(), act.input().data);
  model.forward(act);
  for (Index s = 0; s < 2; ++s) {
    std::vector<double> a(x.row(s).begin(), x.row(s).end());
    for (Index l = 0; l < 3; ++l) {
      const Layer& layer = net.layer(l);
      std::vector<double> z;
      for (Index o = 0; o < layer.out; ++o) {
        double sum = layer.bias ? w[static_cast<std::size_t>(layer.bias_offset + o)] : 0;
        for (Index i = 0; i < layer.in; ++i)
          sum += w[static_cast<std::size_t>(layer.weight_offset + o * layer.in + i)] *
                 a[static_cast<std::size_t>(i)];
        EXPECT_NEAR(act.preactivity(l)(s, o), sum, 1e-14);
        z.push_back(l == 0 ? std::tanh(sum) : l == 1 ? std::max(sum, 0.0) : sum);
      }
      a = z;
    }
  }
}

TEST(Model, ContinuesFromALayersPreactivities) {
  const testing::NetworkProblem problem(Activation::gelu, Loss::mse, true);
  const auto model = problem.model();
  auto whole = model.make_activities(problem.count());
  std::ranges::copy(problem.x.entries(), whole.input().data);
  model.forward(whole);
  for (Index l = 0; l < 3; ++l) {
    auto part = model.make_activities(problem.count());
    std::ranges::copy(whole.z[static_cast<std::size_t>(l)].entries(), part.preactivity(l).data);
    model.forward_above(l, part);
    EXPECT_THAT(part.z.back().entries(), ::testing::ElementsAreArray(whole.z.back().entries()));
  }
}

TEST(Model, RefusesAVectorOfAnotherLength) {
  Model<float> model(three_layers());
  EXPECT_THAT(error_of<std::logic_error>([&] { model.set_parameters(std::vector<double>(3)); }),
              HasSubstr("wrong number of parameters"));
}

}  // namespace
}  // namespace dualscape::nn
