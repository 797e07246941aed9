#include "dualscape/train/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/data/shard.hpp"

namespace dualscape::train {
namespace {

/// Samples a tile of a batch holds at most.
constexpr Index tile_size = 256;

/// A batch becomes several lanes only where each still keeps a rank busy for longer than an exchange takes.
int batch_lanes(Index samples) {
  return static_cast<int>(
      std::bit_floor(static_cast<std::uint64_t>(std::clamp<Index>(samples / 256, 1, 64))));
}

template <class Real>
Samples<Real> scored(const Comm& comm, const data::SampleSet& set, int lanes, double scale) {
  const auto positions = data::correct_positions(set);
  const Index count = std::ssize(positions);
  return data::make_samples<Real>(comm, set, positions,
                                  Lanes(count, lanes > 0 ? lanes : Lanes::automatic(count)), scale);
}

}  // namespace

template <class Real>
Trainer<Real>::Trainer(const Comm& comm, const nn::Network& network, const data::SampleSet& train,
                       const data::SampleSet& test, Options options)
    : comm_(comm),
      options_(std::move(options)),
      model_(network),
      whole_(nn::whole_network(network)),
      rows_(train.rows.fetch(comm, data::all_positions(train.count()))),
      labels_(train.label),
      scored_train_(scored<Real>(comm, train, options_.lanes, options_.scale)),
      scored_test_(scored<Real>(comm, test, options_.lanes, options_.scale)),
      gradient_(static_cast<std::size_t>(network.parameters())) {
  const Index most = std::min({tile_size, options_.training.batch_size, train.count()});
  tile_ = nn::make_tile<Real>(network, most);
  for (const nn::Layer& layer : network.layers()) preactivities_.emplace_back(most, layer.out);
}

template <class Real>
State Trainer<Real>::start(std::vector<double> parameters) const {
  State state;
  state.parameters = std::move(parameters);
  if (options_.training.momentum > 0) state.velocity.resize(state.parameters.size());
  model_.set_parameters(state.parameters);
  score(state);
  return state;
}

template <class Real>
void Trainer<Real>::run(State& state, const std::function<bool(const State&)>& after_epoch) {
  model_.set_parameters(state.parameters);
  state.stop = stop_reason(state);
  while (state.stop == Stop::running) {
    train_epoch(state);
    synchronise(state);
    score(state);
    state.stop = stop_reason(state);
    if (!after_epoch(state)) return;
  }
}

template <class Real>
void Trainer<Real>::train_epoch(State& state) {
  const Random random(options_.seed, Stream::batch_order, static_cast<std::uint32_t>(state.epoch));
  const auto order = random.permutation(rows_.count());
  const Index batch = options_.training.batch_size;
  for (Index first = 0; first < std::ssize(order); first += batch) {
    const Index count = std::min(batch, std::ssize(order) - first);
    step(std::span(order).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
         state.epoch, first, state);
  }
  ++state.epoch;
}

template <class Real>
void Trainer<Real>::step(std::span<const Index> batch, Index epoch, Index first, State& state) {
  const deck::Training& training = options_.training;
  const auto gradient = batch_gradient(batch, epoch, first);
  const auto mean = Real(1) / static_cast<Real>(batch.size());
  const auto weights = model_.parameters();

  // Weight decay is strength x the gradient of |w|_2 ("norm") or of |w|_2^2 / 2 ("l2").
  Real decay = 0;
  if (epoch < training.weight_decay.epochs && training.weight_decay.kind != WeightDecayKind::none) {
    decay = static_cast<Real>(training.weight_decay.strength);
    if (training.weight_decay.kind == WeightDecayKind::norm) {
      double squares = 0;
      for (Real w : weights) squares += static_cast<double>(w) * static_cast<double>(w);
      decay = squares > 0 ? static_cast<Real>(training.weight_decay.strength / std::sqrt(squares)) : Real(0);
    }
  }
  const auto rate = static_cast<Real>(training.learning_rate);
  if (state.velocity.empty()) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] -= rate * (mean * gradient[i] + decay * weights[i]);
  } else {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      state.velocity[i] = training.momentum * state.velocity[i] +
                          static_cast<double>(mean * gradient[i] + decay * weights[i]);
      weights[i] -= static_cast<Real>(training.learning_rate * state.velocity[i]);
    }
  }
}

template <class Real>
std::span<const Real> Trainer<Real>::batch_gradient(std::span<const Index> batch, Index epoch, Index first) {
  const Index size = std::ssize(gradient_);
  const MatrixView<Real> whole(gradient_.data(), 1, size);
  const Lanes lanes(std::ssize(batch), batch_lanes(std::ssize(batch)));
  if (lanes.count() == 1) {
    sum_gradient(batch, epoch, first, whole);
    return gradient_;
  }
  LaneSum sum(comm_, lanes, 1, size);
  try {
    for (int lane = lanes.first_lane(comm_.rank(), comm_.size());
         lane < lanes.first_lane(comm_.rank() + 1, comm_.size()); ++lane) {
      const auto total = sum.next_lane();
      const auto samples = batch.subspan(static_cast<std::size_t>(lanes.begin(lane)),
                                         static_cast<std::size_t>(lanes.end(lane) - lanes.begin(lane)));
      sum_gradient(samples, epoch, first + lanes.begin(lane), whole);
      std::ranges::copy(gradient_, total.data);
    }
  } catch (...) {
    sum.fail(std::current_exception());
  }
  std::vector<double> total(gradient_.size());
  sum.all_reduce({total.data(), 1, size});
  std::ranges::transform(total, gradient_.begin(), [](double x) { return static_cast<Real>(x); });
  return gradient_;
}

template <class Real>
void Trainer<Real>::sum_gradient(std::span<const Index> samples, Index epoch, Index first,
                                 MatrixView<Real> sum) {
  const nn::Network& net = model_.network();
  for (Index begin = 0; begin < std::ssize(samples); begin += tile_size) {
    const auto count = std::min(tile_size, std::ssize(samples) - begin);
    const auto part = samples.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
    tile_labels_.clear();
    for (Index sample : part) tile_labels_.push_back(labels_[static_cast<std::size_t>(sample)]);
    rows_.copy_scaled(part, tile_.a.front().top(count), options_.scale);
    tile_.count = count;
    tile_.labels = tile_labels_;
    // Whether a unit is dropped depends on its epoch, its place in the epoch's order and itself alone.
    const auto drop = [&](Index l, MatrixView<Real> leaving) {
      const double share = net.layer(l).dropout;
      if (share == 0) return;
      const Random random(options_.seed, Stream::dropout, static_cast<std::uint32_t>(l));
      const auto kept = static_cast<Real>(1 / (1 - share));
      const auto place = static_cast<std::uint64_t>(epoch * rows_.count() + first + begin);
      for (Index i = 0; i < leaving.rows; ++i)
        for (Index u = 0; u < leaving.cols; ++u) {
          const auto index =
              (place + static_cast<std::uint64_t>(i)) * static_cast<std::uint64_t>(leaving.cols) +
              static_cast<std::uint64_t>(u);
          leaving(i, u) *= random.uniform(index) < share ? Real(0) : kept;
        }
    };
    nn::linearise(model_, std::span(preactivities_), tile_, drop);
    nn::tile_gradient<Real>(model_, whole_, tile_, begin == 0 ? nn::Write::replace : nn::Write::add, sum);
  }
}

template <class Real>
void Trainer<Real>::synchronise(State& state) const {
  // Ranks that repeat a batch agree bit for bit on equal processors; on unequal ones rank 0 decides.
  std::ranges::copy(model_.parameters(), state.parameters.begin());
  comm_.broadcast(std::span(state.parameters));
  comm_.broadcast(std::span(state.velocity));
  model_.set_parameters(state.parameters);
}

template <class Real>
void Trainer<Real>::score(State& state) const {
  const nn::Score train = nn::evaluate(comm_, model_, scored_train_);
  const nn::Score test = nn::evaluate(comm_, model_, scored_test_);
  if (!std::isfinite(train.loss))
    throw ComputationError(
        fmt::format("training diverged: the loss is {} after epoch {}; lower training.learning_rate (now {}) "
                    "or network.init_scale",
                    train.loss, state.epoch, options_.training.learning_rate));
  state.history.epoch.push_back(state.epoch);
  state.history.loss.push_back(train.loss);
  state.history.accuracy.push_back(train.accuracy);
  state.history.test_loss.push_back(test.loss);
  state.history.test_accuracy.push_back(test.accuracy);
}

template <class Real>
Stop Trainer<Real>::stop_reason(const State& state) const {
  // Accuracy is averaged over the last nine epochs trained, as far as there are any; entry 0 is the untrained
  // network.
  const History& history = state.history;
  const auto window = std::min<Index>(9, state.epoch);
  if (window > 0) {
    const double sum = std::accumulate(history.accuracy.end() - window, history.accuracy.end(), 0.0);
    if (sum / static_cast<double>(window) > options_.training.stop_accuracy &&
        history.loss.back() < options_.training.stop_loss)
      return Stop::criterion;
  }
  return state.epoch >= options_.training.max_epochs ? Stop::max_epochs : Stop::running;
}

template class Trainer<double>;
template class Trainer<float>;

}  // namespace dualscape::train
