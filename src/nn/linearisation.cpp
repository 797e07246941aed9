#include "dualscape/nn/linearisation.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <ranges>
#include <utility>

namespace dualscape::nn {
namespace {

/// Scores tiles of samples, with buffers kept between them.
template <class Real>
class Scorer {
 public:
  static constexpr Index tile = 256;

  using FirstLayer = std::function<void(Index first, MatrixView<Real> z)>;

  Scorer(const Model<Real>& model, const Samples<Real>& samples, const FirstLayer& first_layer)
      : model_(model),
        samples_(samples),
        first_layer_(first_layer),
        act_(model.make_activities(std::min<Index>(tile, samples.lanes.samples()), !first_layer)),
        losses_(tile),
        predicted_(tile) {}

  /// Adds the losses and the right predictions of this rank's samples [first, first + count) to `totals`.
  void add(Index first, Index count, MatrixView<double> totals) {
    const auto labels =
        std::span(samples_.labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    act_.count = count;
    if (first_layer_) {
      first_layer_(first, act_.preactivity(0));
    } else {
      samples_.inputs(first, act_.input());
      model_.forward_layer(0, act_.input(), act_.preactivity(0));
    }
    model_.forward_above(0, act_);
    sample_losses<Real>(model_.network().loss(), act_.logits(), labels, losses_);
    predictions<Real>(act_.logits(), predicted_);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      totals(0, 0) += losses_[i];
      totals(0, 1) += predicted_[i] == labels[i] ? 1.0 : 0.0;
    }
  }

 private:
  const Model<Real>& model_;
  const Samples<Real>& samples_;
  const FirstLayer& first_layer_;  ///< empty: from the samples' inputs
  Activities<Real> act_;
  std::vector<double> losses_;
  std::vector<int> predicted_;
};

}  // namespace

template <class Real>
Tile<Real> make_tile(const Network& network, Index samples) {
  Tile<Real> tile;
  for (Index l = 0; l < network.depth(); ++l) {
    const Layer& layer = network.layer(l);
    tile.a.emplace_back(samples, layer.in);
    tile.d.emplace_back(samples, layer.out);
    if (l + 1 == network.depth()) break;
    tile.d1.emplace_back(samples, layer.out);
    tile.d2.push_back(piecewise_linear(layer.activation) ? Matrix<Real>() : Matrix<Real>(samples, layer.out));
  }
  tile.p = Matrix<Real>(samples, network.outputs());
  return tile;
}

Index automatic_tile(const Network& network, std::size_t number_bytes) {
  // Measured with bench_curvature on 30 to 2048 units, both precisions: the products of a wide layer gain
  // from long tiles, while a narrow network's tile is read by several products and should stay in a core's
  // cache.
  constexpr Index wide = 256, short_tile = 256;
  const auto long_tile = static_cast<Index>(5120 / number_bytes);
  const auto width = [](const Layer& layer) { return layer.out; };
  return std::ranges::max(network.layers() | std::views::transform(width)) >= wide ? long_tile : short_tile;
}

Index even_tile(Index samples, Index tile) {
  // Rows in whole vectors of the GEMM's kernels.
  constexpr Index rows = 16;
  if (samples <= tile || tile < rows) return tile;
  const Index pieces = (samples + tile - 1) / tile;
  const Index even = (samples + pieces - 1) / pieces;
  return std::min(tile, (even + rows - 1) / rows * rows);
}

template <class Real>
Linearisation<Real>::Linearisation(const Comm& comm, const Network& network,
                                   std::span<const double> parameters, Samples<Real> samples,
                                   const Options& options)
    : comm_(comm),
      model_(network),
      samples_(std::move(samples)),
      tile_size_(options.tile > 0 ? options.tile : automatic_tile(network, sizeof(Real))) {
  model_.set_parameters(parameters);
  const Lanes& lanes = samples_.lanes;
  const Index start = lanes.first_sample(comm.rank(), comm.size());
  Index largest = 0;
  for (int lane = lanes.first_lane(comm.rank(), comm.size());
       lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
    const Index step = even_tile(lanes.end(lane) - lanes.begin(lane), tile_size_);
    for (Index first = lanes.begin(lane); first < lanes.end(lane); first += step) {
      const Index count = std::min(step, lanes.end(lane) - first);
      borders_.push_back({lane, first - start, count});
      largest = std::max(largest, count);
    }
  }
  // Inputs or memory may fail one rank alone.
  collectively(comm, [&] {
    for (const Layer& layer : network.layers()) preactivities_.emplace_back(largest, layer.out);
    fill_cache(options);
    if (fully_cached())
      preactivities_ = {};
    else
      scratch_ = make_tile<Real>(network, largest);
  });
}

template <class Real>
void Linearisation<Real>::fill_cache(const Options& options) {
  const std::uint64_t budget = options.cache_bytes.value_or(std::numeric_limits<std::uint64_t>::max());
  for (const Border& border : borders_) {
    const std::uint64_t bytes = bytes_per_sample(network()) * static_cast<std::uint64_t>(border.count);
    if (cached_bytes_ + bytes > budget) break;
    tiles_.push_back(make_tile<Real>(network(), border.count));
    if (options.exact)
      round(*options.exact, border, tiles_.back());
    else
      compute(border, tiles_.back());
    cached_bytes_ += bytes;
  }
}

template <class Real>
std::span<const int> Linearisation<Real>::labels_of(const Border& border) const {
  return std::span(samples_.labels)
      .subspan(static_cast<std::size_t>(border.first), static_cast<std::size_t>(border.count));
}

template <class Real>
void Linearisation<Real>::round(const Linearisation<double>& exact, const Border& border,
                                Tile<Real>& tile) const {
  tile.count = border.count;
  tile.labels = labels_of(border);
  exact.for_each_piece(border.first, border.count, [&](const Tile<double>& piece, Index at) {
    const auto copy = [&](const Matrix<double>& from, Matrix<Real>& into) {
      for (Index i = 0; i < piece.count && from.rows() > 0; ++i)
        std::ranges::transform(from.row(i), into.row(at + i).begin(),
                               [](double x) { return static_cast<Real>(x); });
    };
    for (std::size_t l = 0; l < piece.a.size(); ++l) {
      copy(piece.a[l], tile.a[l]);
      copy(piece.d[l], tile.d[l]);
    }
    for (std::size_t l = 0; l < piece.d1.size(); ++l) {
      copy(piece.d1[l], tile.d1[l]);
      copy(piece.d2[l], tile.d2[l]);
    }
    copy(piece.p, tile.p);
  });
}

template <class Real>
std::uint64_t Linearisation<Real>::bytes_per_sample(const Network& network) {
  const Tile<Real> one = make_tile<Real>(network, 1);
  std::size_t numbers = one.p.entries().size();
  for (const auto* group : {&one.a, &one.d, &one.d1, &one.d2})
    for (const auto& matrix : *group) numbers += matrix.entries().size();
  return numbers * sizeof(Real);
}

template <class Real>
const Tile<Real>& Linearisation<Real>::tile(std::size_t i) const {
  if (i < tiles_.size()) return tiles_[i];
  compute(borders_[i], scratch_);
  return scratch_;
}

template <class Real>
void Linearisation<Real>::compute(const Border& border, Tile<Real>& tile) const {
  const Index n = border.count;
  tile.count = n;
  tile.labels = labels_of(border);
  samples_.inputs(border.first, tile.a.front().top(n));
  linearise(model_, std::span(preactivities_), tile, Model<Real>::no_mask);
}

template <class Real>
Score evaluate(const Comm& comm, const Model<Real>& model, const Samples<Real>& samples) {
  return evaluate(comm, model, samples, typename Scorer<Real>::FirstLayer());
}

template <class Real>
Score evaluate(const Comm& comm, const Model<Real>& model, const Samples<Real>& samples,
               const std::function<void(Index first, MatrixView<Real> z)>& first_layer) {
  const Lanes& lanes = samples.lanes;
  const Index start = lanes.first_sample(comm.rank(), comm.size());
  LaneSum sum(comm, lanes, 1, 2);
  try {
    Scorer<Real> scorer(model, samples, first_layer);
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const auto totals = sum.next_lane();
      for (Index first = lanes.begin(lane); first < lanes.end(lane); first += Scorer<Real>::tile)
        scorer.add(first - start, std::min(Scorer<Real>::tile, lanes.end(lane) - first), totals);
    }
  } catch (...) {
    sum.fail(std::current_exception());
  }
  Matrix<double> total(1, 2);
  sum.all_reduce(total.view());
  const double n = static_cast<double>(lanes.samples());
  return {.loss = total(0, 0) / n, .accuracy = total(0, 1) / n};
}

template Tile<double> make_tile<double>(const Network&, Index);
template Tile<float> make_tile<float>(const Network&, Index);
template class Linearisation<double>;
template class Linearisation<float>;
template Score evaluate<double>(const Comm&, const Model<double>&, const Samples<double>&);
template Score evaluate<float>(const Comm&, const Model<float>&, const Samples<float>&);
template Score evaluate<double>(const Comm&, const Model<double>&, const Samples<double>&,
                                const std::function<void(Index, MatrixView<double>)>&);
template Score evaluate<float>(const Comm&, const Model<float>&, const Samples<float>&,
                               const std::function<void(Index, MatrixView<float>)>&);

}  // namespace dualscape::nn
