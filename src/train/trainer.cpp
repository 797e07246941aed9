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

/// Share of values that are not zero below which inputs count as sparse. GEMM is as fast from 0.27 on for 10
/// outputs and from 0.37 for 30 to 512, in either precision.
constexpr double sparse_share = 0.25;

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
  tile_.p = {};
  for (const nn::Layer& layer : network.layers()) preactivities_.emplace_back(most, layer.out);
  // Memory may fail one rank alone.
  collectively(comm, [&] {
    if (network.layer(0).kind == LayerKind::dense && rows_.nonzero_share() < sparse_share)
      use_sparse_inputs(train);
  });
}

template <class Real>
void Trainer<Real>::use_sparse_inputs(const data::SampleSet& train) {
  const nn::Layer& first = model_.network().layer(0);
  sparse_.emplace(SparseFirst{.layer = nn::SparseLayer<Real>(first.in, first.out)});
  Matrix<Real> some(tile_size, first.in);
  const auto append = [&](nn::SparseRows<Real>& to, Index count, const auto& copy) {
    for (Index begin = 0; begin < count; begin += tile_size) {
      const auto part = some.top(std::min(tile_size, count - begin));
      copy(begin, part);
      to.append(part);
    }
  };
  append(sparse_->train, rows_.count(), [&](Index begin, MatrixView<Real> part) {
    rows_.copy_scaled(begin, part.rows, part, options_.scale);
  });
  append(sparse_->test, std::ssize(scored_test_.labels), scored_test_.inputs);
  sparse_->scored_test = data::all_positions(std::ssize(scored_test_.labels));
  const auto positions = data::correct_positions(train);
  const Index own = scored_train_.lanes.first_sample(comm_.rank(), comm_.size());
  sparse_->scored_train.assign(positions.begin() + own,
                               positions.begin() + own + std::ssize(scored_train_.labels));
  rows_ = {};
  tile_.a.front() = {};
  scored_train_.inputs = nullptr;
  scored_test_.inputs = nullptr;

  sparse_->weights.resize(static_cast<std::size_t>(sparse_->layer.size()));
  const Index more = sparse_->layer.size() - first.weight_size;
  for (auto* offsets : {&whole_.weight_offset, &whole_.bias_offset})
    for (Index& offset : *offsets)
      if (offset != nn::BlockLayout::absent) offset += more;
  whole_.weight_offset.front() = nn::BlockLayout::absent;
  gradient_.resize(gradient_.size() + static_cast<std::size_t>(more));
}

template <class Real>
void Trainer<Real>::first_preactivities(const nn::SparseRows<Real>& rows, std::span<const Index> samples,
                                        MatrixView<Real> z) const {
  sparse_->layer.apply(sparse_->weights, rows, samples, z);
  if (model_.network().layer(0).bias) nn::add_bias<Real>(model_.bias(0), z);
}

template <class Real>
State Trainer<Real>::start(std::vector<double> parameters) {
  State state;
  state.parameters = std::move(parameters);
  if (options_.training.momentum > 0) state.velocity.resize(state.parameters.size());
  load(state);
  score(state);
  return state;
}

template <class Real>
void Trainer<Real>::run(State& state, const std::function<bool(const State&)>& after_epoch) {
  load(state);
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
  const auto order = random.permutation(std::ssize(labels_));
  const Index batch = options_.training.batch_size;
  for (Index first = 0; first < std::ssize(order); first += batch) {
    const Index count = std::min(batch, std::ssize(order) - first);
    step(std::span(order).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
         state.epoch, first);
  }
  ++state.epoch;
}

template <class Real>
void Trainer<Real>::step(std::span<const Index> batch, Index epoch, Index first) {
  const auto all = pieces(batch_gradient(batch, epoch, first));
  const auto mean = Real(1) / static_cast<Real>(batch.size());
  const Real decay = weight_decay(all, epoch);
  for (const Piece& piece : all) descend(piece, mean, decay);
}

template <class Real>
std::vector<typename Trainer<Real>::Piece> Trainer<Real>::pieces(std::span<const Real> gradient) {
  const std::span<Real> parameters = model_.parameters();
  const std::span<double> velocity = velocity_;
  if (!sparse_) return {{parameters, gradient, velocity}};
  const std::size_t panels = sparse_->weights.size();
  const auto weights = static_cast<std::size_t>(model_.network().layer(0).weight_size);
  const std::size_t moved = velocity.empty() ? 0 : panels;
  return {{sparse_->weights, gradient.first(panels), velocity.first(moved)},
          {parameters.subspan(weights), gradient.subspan(panels), velocity.subspan(moved)}};
}

template <class Real>
Real Trainer<Real>::weight_decay(std::span<const Piece> all, Index epoch) const {
  // Weight decay is strength x the gradient of |w|_2 ("norm") or of |w|_2^2 / 2 ("l2").
  const deck::WeightDecay& asked = options_.training.weight_decay;
  if (epoch >= asked.epochs || asked.kind == WeightDecayKind::none) return 0;
  if (asked.kind == WeightDecayKind::l2) return static_cast<Real>(asked.strength);
  double squares = 0;
  for (const Piece& piece : all)
    for (Real w : piece.weights) squares += static_cast<double>(w) * static_cast<double>(w);
  return squares > 0 ? static_cast<Real>(asked.strength / std::sqrt(squares)) : Real(0);
}

template <class Real>
void Trainer<Real>::descend(const Piece& piece, Real mean, Real decay) const {
  const auto& [weights, gradient, velocity] = piece;
  const deck::Training& training = options_.training;
  const auto rate = static_cast<Real>(training.learning_rate);
  if (velocity.empty()) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] -= rate * (mean * gradient[i] + decay * weights[i]);
    return;
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    velocity[i] =
        training.momentum * velocity[i] + static_cast<double>(mean * gradient[i] + decay * weights[i]);
    weights[i] -= static_cast<Real>(training.learning_rate * velocity[i]);
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
    tile_.count = count;
    tile_.labels = tile_labels_;
    // Whether a unit is dropped depends on its epoch, its place in the epoch's order and itself alone.
    const auto drop = [&](Index l, MatrixView<Real> leaving) {
      const double share = net.layer(l).dropout;
      if (share == 0) return;
      const Random random(options_.seed, Stream::dropout, static_cast<std::uint32_t>(l));
      const auto kept = static_cast<Real>(1 / (1 - share));
      const auto place = static_cast<std::uint64_t>(epoch * std::ssize(labels_) + first + begin);
      for (Index i = 0; i < leaving.rows; ++i)
        for (Index u = 0; u < leaving.cols; ++u) {
          const auto index =
              (place + static_cast<std::uint64_t>(i)) * static_cast<std::uint64_t>(leaving.cols) +
              static_cast<std::uint64_t>(u);
          leaving(i, u) *= random.uniform(index) < share ? Real(0) : kept;
        }
    };
    const auto write = begin == 0 ? nn::Write::replace : nn::Write::add;
    if (sparse_) {
      first_preactivities(sparse_->train, part, preactivities_.front().top(count));
      nn::linearise_above_first(model_, std::span(preactivities_), tile_, drop);
      sparse_->layer.adjoint_weight(tile_.d.front().top(count), sparse_->train, part, write,
                                    sum.row(0).first(sparse_->weights.size()));
    } else {
      rows_.copy_scaled(part, tile_.a.front().top(count), options_.scale);
      nn::linearise(model_, std::span(preactivities_), tile_, drop);
    }
    nn::tile_gradient<Real>(model_, whole_, tile_, write, sum);
  }
}

template <class Real>
void Trainer<Real>::load(const State& state) {
  model_.set_parameters(state.parameters);
  if (!sparse_) {
    velocity_ = state.velocity;
    return;
  }
  sparse_->layer.to_panels(model_.weight(0), std::span(sparse_->weights));
  velocity_.resize(state.velocity.empty() ? 0 : gradient_.size());
  if (!velocity_.empty())
    sparse_->layer.to_panels(std::span<const double>(state.velocity), std::span(velocity_));
}

template <class Real>
void Trainer<Real>::store(State& state) {
  if (!sparse_) {
    state.velocity = velocity_;
  } else {
    const auto weights = static_cast<std::size_t>(model_.network().layer(0).weight_size);
    sparse_->layer.from_panels(std::span<const Real>(sparse_->weights), model_.parameters().first(weights));
    if (!velocity_.empty())
      sparse_->layer.from_panels(std::span<const double>(velocity_), std::span(state.velocity));
  }
  std::ranges::copy(model_.parameters(), state.parameters.begin());
}

template <class Real>
void Trainer<Real>::synchronise(State& state) {
  // Ranks that repeat a batch agree bit for bit on equal processors; on unequal ones rank 0 decides.
  store(state);
  comm_.broadcast(std::span(state.parameters));
  comm_.broadcast(std::span(state.velocity));
  load(state);
}

template <class Real>
void Trainer<Real>::score(State& state) const {
  const auto score_of = [&](const Samples<Real>& samples, auto rows, auto positions) {
    if (!sparse_) return nn::evaluate(comm_, model_, samples);
    return nn::evaluate<Real>(comm_, model_, samples, [&](Index first, MatrixView<Real> z) {
      first_preactivities((*sparse_).*rows,
                          std::span((*sparse_).*positions)
                              .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(z.rows)),
                          z);
    });
  };
  const nn::Score train = score_of(scored_train_, &SparseFirst::train, &SparseFirst::scored_train);
  const nn::Score test = score_of(scored_test_, &SparseFirst::test, &SparseFirst::scored_test);
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
