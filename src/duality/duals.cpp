#include "dualscape/duality/duals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/nn/loss.hpp"

namespace dualscape::duality {
namespace {

/// Pairs in one pass of the network.
constexpr Index tile_size = 256;

/// Everything a tile of pairs needs, kept between tiles.
struct Workspace {
  nn::Activities<double> test;
  nn::Tile<double> partner;
  std::vector<Matrix<double>> partner_z;
  nn::Activities<double> dual;

  Workspace(const nn::Model<double>& model, Index samples)
      : test(model.make_activities(samples)),
        partner(nn::make_tile<double>(model.network(), samples)),
        dual(model.make_activities(samples)) {
    for (const nn::Layer& layer : model.network().layers()) partner_z.emplace_back(samples, layer.out);
  }
};

/// (d/dt)^2 of the loss of each sample along z^l + t r, at t = 0: R{f}^T S R{f} plus, for each smooth
/// activation above, sum phi'' (dl/da) R{z}^2.
std::vector<double> second_derivatives(const nn::Model<double>& model, const nn::Tile<double>& tile,
                                       Index layer, ConstMatrixView<double> r) {
  const nn::Network& net = model.network();
  const Index n = r.rows;
  std::vector<double> sums(static_cast<std::size_t>(n));
  Matrix<double> rz(n, r.cols);
  for (Index i = 0; i < n; ++i) std::ranges::copy(r.row(i), rz.row(i).begin());
  for (Index l = layer; l + 1 < net.depth(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    const auto& second = tile.d2[at];
    for (Index i = 0; i < n; ++i)
      for (Index c = 0; c < rz.cols(); ++c) {
        if (second.rows() > 0) sums[static_cast<std::size_t>(i)] += second(i, c) * rz(i, c) * rz(i, c);
        rz(i, c) *= tile.d1[at](i, c);
      }
    Matrix<double> above(n, net.layer(l + 1).out);
    model.map(l + 1).apply(model.weight(l + 1), rz.view(), nn::Write::replace, above.view());
    rz = std::move(above);
  }
  Matrix<double> curved(n, rz.cols());
  nn::loss_curvature_product<double>(net.loss(), nn::LossCurvature::full, tile.p.view().rows_from(0, n),
                                     tile.labels, rz.view(), curved.view());
  for (Index i = 0; i < n; ++i) sums[static_cast<std::size_t>(i)] += dot(rz.row(i), curved.row(i));
  return sums;
}

void predict(ConstMatrixView<double> logits, std::span<int> classes) {
  for (Index i = 0; i < logits.rows; ++i) {
    const auto row = logits.row(i);
    classes[static_cast<std::size_t>(i)] = static_cast<int>(std::ranges::max_element(row) - row.begin());
  }
}

class TileOfPairs {
 public:
  TileOfPairs(const nn::Model<double>& model, Index layer, const CoVector& covector, Workspace& work,
              Duals& duals)
      : model_(model),
        layer_(layer),
        covector_(covector),
        work_(work),
        duals_(duals),
        weight_norm_(norm(model.weight(layer))) {}

  /// Pairs [first, first + count) of this rank; inputs and labels stand in the workspace.
  void run(Index first, Index count, std::span<const int> labels) {
    model_.forward(work_.test);
    nn::linearise(model_, std::span(work_.partner_z), work_.partner, nn::Model<double>::no_mask);
    const Loss loss = model_.network().loss();
    const auto part = [&](auto& all) {
      return std::span(all).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    };
    std::vector<double> test_loss(labels.size());
    nn::sample_losses<double>(loss, work_.test.logits(), labels, test_loss);
    const auto partner_loss = part(duals_.partner_loss);
    nn::sample_losses<double>(loss, work_.partner_z.back().top(count), labels, partner_loss);
    std::ranges::transform(test_loss, partner_loss, part(duals_.loss_gap).begin(), std::minus<>());
    predict(work_.test.logits(), part(duals_.test_prediction));
    predict(work_.partner_z.back().top(count), part(duals_.train_prediction));

    const auto a = work_.partner.a[static_cast<std::size_t>(layer_)].top(count);
    const auto difference = duals_.difference.view().rows_from(first, count);
    for (Index i = 0; i < count; ++i)
      std::ranges::transform(work_.test.entering(layer_).row(i), a.row(i), difference.row(i).begin(),
                             std::minus<>());
    const auto response = duals_.response.view().rows_from(first, count);
    model_.map(layer_).apply(model_.weight(layer_), difference, nn::Write::replace, response);
    fill_covectors(first, a);
    for (Index i = 0; i < count; ++i) classify(first + i, a.row(i), work_.test.entering(layer_).row(i));
    measure_exactness(first, labels, test_loss);
    const auto curved = second_derivatives(model_, work_.partner, layer_, response);
    const auto& gradient = work_.partner.d[static_cast<std::size_t>(layer_)];
    for (Index i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(first + i);
      duals_.gradient_term[at] = dot(gradient.row(i), response.row(i));
      duals_.curvature_term[at] = 0.5 * curved[static_cast<std::size_t>(i)];
    }
  }

 private:
  void fill_covectors(Index first, ConstMatrixView<double> a) {
    const auto b = duals_.covector.view().rows_from(first, a.rows);
    for (Index i = 0; i < a.rows; ++i) {
      std::ranges::copy(a.row(i), b.row(i).begin());
      if (covector_.kind == DualKind::augmented) b.row(i).back() = 1;
    }
    if (covector_.kind == DualKind::metric) cholesky_solve(covector_.metric_factor.view(), b);
  }

  /// b.a, with a 1 at the end of an augmented activity.
  double projection(Index k, std::span<const double> a) const {
    const auto b = duals_.covector.row(k);
    return dot(b.first(a.size()), a) + (covector_.kind == DualKind::augmented ? b.back() : 0.0);
  }

  void classify(Index k, std::span<const double> a, std::span<const double> test_activity) {
    const auto at = static_cast<std::size_t>(k);
    const auto r = duals_.response.row(k);
    const double a_norm = norm(a);
    // Rounding in r: W times a difference of two activities, each known to eps.
    const double threshold =
        32 * std::numeric_limits<double>::epsilon() * weight_norm_ * (a_norm + norm(test_activity));
    if (norm(r) <= threshold)
      duals_.state[at] = DualState::zero;
    else
      duals_.state[at] = projection(k, a) > 0 ? DualState::kept : DualState::dropped;
    if (duals_.state[at] != DualState::kept) {
      std::ranges::fill(r, 0.0);
      return;
    }
    duals_.inverse[at] = 1.0 / projection(k, a);
    duals_.norm[at] = norm(r) * norm(duals_.covector.row(k)) * duals_.inverse[at];
  }

  /// Evaluates loss(x, W*) with W* = W + r b^T / (b.a) applied to a, and compares with loss(x', W).
  void measure_exactness(Index first, std::span<const int> labels, std::span<const double> test_loss) {
    const Index count = std::ssize(labels);
    const auto a = work_.partner.a[static_cast<std::size_t>(layer_)].top(count);
    work_.dual.count = count;
    const auto z = work_.dual.preactivity(layer_);
    model_.forward_layer(layer_, a, z);
    for (Index i = 0; i < count; ++i) {
      const double along = projection(first + i, a.row(i));
      const double inverse = duals_.inverse[static_cast<std::size_t>(first + i)];
      const auto r = duals_.response.row(first + i);
      for (std::size_t o = 0; o < r.size(); ++o) z(i, static_cast<Index>(o)) += (r[o] * inverse) * along;
    }
    model_.forward_above(layer_, work_.dual);
    std::vector<double> dual_loss(labels.size());
    nn::sample_losses<double>(model_.network().loss(), work_.dual.logits(), labels, dual_loss);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto at = static_cast<std::size_t>(first) + i;
      if (duals_.state[at] != DualState::dropped)
        duals_.exactness[at] = std::abs(test_loss[i] - dual_loss[i]);
    }
  }

  const nn::Model<double>& model_;
  Index layer_;
  const CoVector& covector_;
  Workspace& work_;
  Duals& duals_;
  double weight_norm_;
};

Duals empty_duals(const Lanes& lanes, const nn::Layer& layer, DualKind kind, Index first, Index count) {
  Duals duals;
  duals.lanes = lanes;
  duals.first = first;
  const auto n = static_cast<std::size_t>(count);
  duals.state.resize(n);
  duals.covector = Matrix<double>(count, layer.in + (kind == DualKind::augmented ? 1 : 0));
  duals.difference = Matrix<double>(count, layer.in);
  duals.response = Matrix<double>(count, layer.out);
  for (auto* values : {&duals.inverse, &duals.norm, &duals.loss_gap, &duals.partner_loss, &duals.exactness,
                       &duals.gradient_term, &duals.curvature_term})
    values->resize(n);
  duals.test_prediction.resize(n);
  duals.train_prediction.resize(n);
  return duals;
}

}  // namespace

CoVector metric_covector(const nn::Linearisation<double>& linearisation, Index layer, double ridge) {
  const Comm& comm = linearisation.comm();
  const Lanes& lanes = linearisation.lanes();
  const Index in = linearisation.network().layer(layer).in;
  LaneSum sum(comm, lanes, in, in);
  try {
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const MatrixView<double> sums = sum.next_lane();
      linearisation.for_each_tile(lane, [&](const nn::Tile<double>& tile) {
        const auto a = tile.a[static_cast<std::size_t>(layer)].view().rows_from(0, tile.count);
        gemm<double>(Op::transpose, Op::none, 1.0, a, a, 1.0, sums);
      });
    }
  } catch (...) {
    sum.fail(std::current_exception());
  }
  CoVector result{.kind = DualKind::metric, .metric_factor = {in, in}};
  Matrix<double>& g = result.metric_factor;
  sum.all_reduce(g.view());
  double trace = 0;
  for (double& x : g.entries()) x /= static_cast<double>(lanes.samples());
  for (Index i = 0; i < in; ++i) trace += g(i, i);
  for (Index i = 0; i < in; ++i) g(i, i) += ridge * trace / static_cast<double>(in);
  if (!cholesky(g.view()))
    throw ComputationError(
        fmt::format("the second moment of the activities that enter layer '{}' is not positive definite with "
                    "duality.ridge = {:g}: set a larger one",
                    linearisation.network().layer(layer).name, ridge));
  return result;
}

Duals make_duals(const Comm& comm, const nn::Model<double>& model, Index layer, const Lanes& lanes,
                 std::span<const Pair> pairs, const PairInputs& inputs, const CoVector& covector) {
  const Index start = lanes.first_sample(comm.rank(), comm.size());
  const Index end = lanes.first_sample(comm.rank() + 1, comm.size());
  const auto own = pairs.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start));
  std::vector<Index> test, train;
  std::vector<int> labels;
  for (const Pair& pair : own) {
    test.push_back(pair.test);
    train.push_back(pair.train);
    labels.push_back(inputs.label(pair.test));
  }
  const Matrix<double> test_rows = inputs.test(test);
  const Matrix<double> train_rows = inputs.train(train);

  Duals duals = empty_duals(lanes, model.network().layer(layer), covector.kind, start, end - start);
  duals.test = test;
  duals.label = labels;
  collectively(comm, [&] {
    Workspace work(model, std::min(tile_size, lanes.samples() / lanes.count() + 1));
    TileOfPairs tile(model, layer, covector, work, duals);
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane)
      for (Index first = lanes.begin(lane) - start; first < lanes.end(lane) - start; first += tile_size) {
        const Index count = std::min(tile_size, lanes.end(lane) - start - first);
        const auto tile_labels = std::span<const int>(labels).subspan(static_cast<std::size_t>(first),
                                                                      static_cast<std::size_t>(count));
        work.test.count = work.partner.count = count;
        work.partner.labels = tile_labels;
        std::copy_n(test_rows.data() + first * test_rows.cols(), count * test_rows.cols(),
                    work.test.input().data);
        std::copy_n(train_rows.data() + first * train_rows.cols(), count * train_rows.cols(),
                    work.partner.a.front().data());
        tile.run(first, count, tile_labels);
      }
  });
  return duals;
}

std::vector<double> gather_pairs(const Comm& comm, const Duals& duals, const std::vector<double>& own,
                                 Index values) {
  return gather_pairs(comm, duals.lanes, own, values);
}

std::vector<double> gather_pairs(const Comm& comm, const Lanes& lanes, const std::vector<double>& own,
                                 Index values) {
  std::vector<int> counts, starts;
  for (int r = 0; r < comm.size(); ++r) {
    starts.push_back(static_cast<int>(values * lanes.first_sample(r, comm.size())));
    counts.push_back(static_cast<int>(values * lanes.first_sample(r + 1, comm.size())) - starts.back());
  }
  std::vector<double> all(static_cast<std::size_t>(values * lanes.samples()));
  MPI_Allgatherv(own.data(), static_cast<int>(own.size()), MPI_DOUBLE, all.data(), counts.data(),
                 starts.data(), MPI_DOUBLE, comm.get());
  return all;
}

Matrix<double> entering_activities(const nn::Model<double>& model, Index layer,
                                   const Matrix<double>& inputs) {
  Matrix<double> activities(inputs.rows(), model.network().layer(layer).in);
  auto act = model.make_activities(std::min(tile_size, inputs.rows()));
  for (Index first = 0; first < inputs.rows(); first += tile_size) {
    act.count = std::min(tile_size, inputs.rows() - first);
    std::copy_n(inputs.data() + first * inputs.cols(), act.count * inputs.cols(), act.input().data);
    model.forward(act);
    std::copy_n(act.entering(layer).data, act.count * activities.cols(), activities.row(first).data());
  }
  return activities;
}

}  // namespace dualscape::duality
