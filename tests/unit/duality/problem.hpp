#pragma once

#include <algorithm>
#include <vector>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/duality/decomposition.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/operators/layer_hessian.hpp"

/// A small network with random weights over random samples of three classes: enough to test every identity
/// on.
namespace dualscape::duality::testing {

struct Problem {
  Index features = 6;
  Index train_count = 40;
  Index test_count = 17;
  int classes = 3;
  Matrix<double> train_x, test_x;
  std::vector<int> train_y, test_y;
  nn::Network network;
  std::vector<double> parameters;
  nn::Model<double> model;

  explicit Problem(Activation activation = Activation::tanh, Loss loss = Loss::cross_entropy,
                   bool bias = true)
      : train_x(inputs(train_count, 1)),
        test_x(inputs(test_count, 2)),
        train_y(labels(train_count)),
        test_y(labels(test_count)),
        network(features,
                {{.name = "dense1", .units = 5, .activation = activation, .bias = bias},
                 {.name = "dense2", .units = 4, .activation = activation, .bias = bias},
                 {.name = "dense3", .units = 3, .bias = bias}},
                loss),
        parameters(network.initial_parameters(7, 2.0)),
        model(network) {
    model.set_parameters(parameters);
  }

  Matrix<double> inputs(Index count, std::uint32_t stream) const {
    const Random random(11, Stream::probe, stream);
    Matrix<double> x(count, features);
    for (Index i = 0; i < count * features; ++i) x.data()[i] = random.normal(static_cast<std::uint64_t>(i));
    return x;
  }
  std::vector<int> labels(Index count) const {
    std::vector<int> y;
    for (Index i = 0; i < count; ++i) y.push_back(static_cast<int>(i % classes));
    return y;
  }
  static InputRows rows_of(const Matrix<double>& x) {
    return [&x](std::span<const Index> positions) {
      Matrix<double> out(std::ssize(positions), x.cols());
      for (Index i = 0; i < out.rows(); ++i)
        std::ranges::copy(x.row(positions[static_cast<std::size_t>(i)]), out.row(i).begin());
      return out;
    };
  }
  Side side(const Matrix<double>& x, const std::vector<int>& y) const {
    Side side{.positions = {}, .labels = y, .rows = rows_of(x)};
    for (Index i = 0; i < x.rows(); ++i) side.positions.push_back(i);
    return side;
  }
  Side train() const { return side(train_x, train_y); }
  Side test() const { return side(test_x, test_y); }

  std::vector<Pair> pairs(const Comm& comm) const {
    return as_pairs(nearest(comm, test(), train(), false, "test", "training"), Anchor::test);
  }
  /// Of any kind; metric ones with a small ridge.
  CoVector covector(const Comm& comm, Index layer, DualKind kind) const {
    if (kind == DualKind::metric) return metric_covector(linearisation(comm), layer, 1e-3);
    return {.kind = kind, .metric_factor = {}};
  }
  Duals duals(const Comm& comm, Index layer, std::span<const Pair> of,
              DualKind kind = DualKind::minimal) const {
    return make_duals(comm, model, layer, Lanes(std::ssize(of), 8), of,
                      {.test = rows_of(test_x),
                       .train = rows_of(train_x),
                       .label = [this](Index t) { return test_y[static_cast<std::size_t>(t)]; }},
                      covector(comm, layer, kind));
  }
  /// Of one sample, by the model alone.
  double loss(std::span<const double> x, int label) const { return loss_with(model, x, label); }
  static double loss_with(const nn::Model<double>& any, std::span<const double> x, int label) {
    auto act = any.make_activities(1);
    std::ranges::copy(x, act.input().data);
    any.forward(act);
    double value = 0;
    nn::sample_losses<double>(any.network().loss(), act.logits(), std::span(&label, 1), std::span(&value, 1));
    return value;
  }
  nn::Linearisation<double> linearisation(const Comm& comm) const {
    const Lanes lanes(train_count, 8);
    const Index first = lanes.first_sample(comm.rank(), comm.size());
    const Index end = lanes.first_sample(comm.rank() + 1, comm.size());
    Samples<double> samples{.lanes = lanes,
                            .labels = {train_y.begin() + first, train_y.begin() + end},
                            .inputs = [this, first](Index begin, MatrixView<double> out) {
                              std::copy_n(train_x.row(first + begin).data(), out.rows * features, out.data);
                            }};
    return {comm, network, parameters, std::move(samples), {}};
  }
};

/// Eigenpairs of a dense symmetric matrix, the m largest, as Directions want them.
struct Basis {
  std::vector<double> values;
  std::vector<double> angle_bounds;
  Matrix<double> vectors;  ///< m x this rank's part
  Partition partition;

  Basis(const Comm& comm, const Problem& problem, Index layer, Index m)
      : Basis(comm, layer_hessian(comm, problem, layer), m) {}

  Basis(const Comm& comm, Matrix<double> dense, Index m) {
    const Index size = dense.rows();
    const auto ascending = symmetric_eigen(dense.view());
    partition = Partition(size, comm.size());
    m = std::min(m, size);
    vectors = Matrix<double>(m, partition.count(comm.rank()));
    for (Index n = 0; n < m; ++n) {
      values.push_back(ascending[static_cast<std::size_t>(size - 1 - n)]);
      std::copy_n(dense.row(size - 1 - n).begin() + partition.begin(comm.rank()), vectors.cols(),
                  vectors.row(n).begin());
    }
    angle_bounds.assign(values.size(), 1e-3);
  }

  static Matrix<double> layer_hessian(const Comm& comm, const Problem& problem, Index layer) {
    const auto linearisation = problem.linearisation(comm);
    return operators::assemble_layer_hessian(linearisation, layer, false);
  }
  /// Of a whole block, by its products with unit vectors, on every rank.
  static Matrix<double> dense(const LinearOperator& op) {
    const Comm& comm = op.comm();
    const Partition split = op.range();
    Matrix<double> units(split.size(), split.count(comm.rank())), products(split.size(), units.cols());
    for (Index i = 0; i < units.cols(); ++i) units(split.begin(comm.rank()) + i, i) = 1;
    op.apply(units.view(), products.view());
    Matrix<double> whole(split.size(), split.size());
    gather_all(comm, split, products.view(), whole.view());
    return whole;
  }

  Directions directions() const {
    return {.values = values,
            .angle_bounds = angle_bounds,
            .vectors = vectors.view(),
            .partition = partition,
            .place = {},
            .complete = std::ssize(values) == partition.size()};
  }
};

/// The layer that most tests look at: 4 x 5.
constexpr Index layer = 1;

}  // namespace dualscape::duality::testing
