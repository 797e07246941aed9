#include "dualscape/study/analysis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>

#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/progress.hpp"
#include "dualscape/data/shard.hpp"
#include "dualscape/duality/weight_space.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/operators/layer_hessian.hpp"
#include "dualscape/study/cost.hpp"
#include "dualscape/study/pruning.hpp"
#include "samples.hpp"

namespace dualscape::study {
namespace {

spectrum::Options solver_options(const deck::Config& config) {
  const deck::Spectrum& asked = *config.spectrum;
  return {.which = asked.which,
          .count = asked.count,
          .tolerance = asked.tolerance,
          .seed = config.seed,
          .dense_limit = config.numerics.dense_limit,
          .block = asked.solver_block,
          .second_start = asked.second_start};
}

/// The analysed samples at `chosen` positions among them.
template <class Real>
SamplesAt<Real> some_analysed(const Comm& comm, const data::SampleSet& set, const deck::Config& config) {
  return [&comm, &set, &config, all = data::correct_positions(set)](std::span<const Index> chosen) {
    std::vector<Index> positions;
    for (const Index p : chosen) positions.push_back(all[static_cast<std::size_t>(p)]);
    return data::make_samples<Real>(comm, set, positions, lanes_for(std::ssize(positions), config.numerics),
                                    config.data.scale);
  };
}

/// A curvature operator whose buffers are there for the length of a product: for few products, of blocks,
/// beside a solve that needs the memory.
class Momentary final : public LinearOperator {
 public:
  Momentary(Curvature kind, const nn::Linearisation<double>& linearisation, const nn::BlockLayout& block)
      : kind_(kind), linearisation_(linearisation), block_(block) {}
  const Comm& comm() const override { return linearisation_.comm(); }
  Partition range() const override { return Partition(block_.size, comm().size()); }
  void apply(ConstMultiVector in, MultiVector out) const override {
    operators::make_curvature<double>(kind_, linearisation_, block_)->apply(in, out);
  }

 private:
  Curvature kind_;
  const nn::Linearisation<double>& linearisation_;
  const nn::BlockLayout& block_;
};

/// The operators of a search for eigenpairs: that of the deck in double precision, and what stands in for it.
template <class Real>
class Operators {
 public:
  Operators(const Comm& comm, const nn::Network& network, const std::vector<double>& parameters,
            const data::Dataset& data, const deck::Config& config, std::optional<std::uint64_t> cache_bytes)
      : config_(config),
        block_(operators::select_block(network, config.spectrum->block)),
        exactly_(exactly(comm, network, parameters, data, config)),
        linearisation_(comm, network, parameters, analysed<Real>(comm, data.train, config),
                       {.tile = config.numerics.tile, .cache_bytes = cache_bytes, .exact = exactly_.get()}),
        fast_(operators::make_curvature<Real>(config.spectrum->curvature, linearisation_, block_)) {
    if (exactly_) exact_.emplace(config.spectrum->curvature, *exactly_, block_);
  }

  const nn::Linearisation<Real>& linearisation() const { return linearisation_; }
  const nn::BlockLayout& block() const { return block_; }
  const LinearOperator& asked() const {
    return exact_ ? static_cast<const LinearOperator&>(*exact_) : *fast_;
  }

  /// Leaves out samples. `budget`: bytes left to the activities of the others.
  void prune(const data::Dataset& data, const std::vector<double>& parameters, std::uint64_t budget,
             Log& log) {
    const auto start = std::chrono::steady_clock::now();
    pruned_.emplace(config_.spectrum->curvature, linearisation_, block_,
                    some_analysed<Real>(linearisation_.comm(), data.train, config_), config_.spectrum->prune,
                    config_.seed, parameters, budget);
    const std::chrono::duration<double> preparation = std::chrono::steady_clock::now() - start;
    seconds_ = linearisation_.comm().broadcast_value(preparation.count());
    log.info(
        "spectrum: {} of {} samples are left out of the solve, |difference| <= {:.2e}; chosen in {:.2f} s",
        pruned_->dropped(), linearisation_.lanes().samples(), pruned_->bound(), seconds_);
  }

  void stand_in(spectrum::Options& options) const {
    constexpr double rounding = std::numeric_limits<Real>::epsilon();
    if (pruned_)
      options.stand_ins.push_back({.op = &pruned_->op(),
                                   .distance = pruned_->bound(),
                                   .rounding = rounding,
                                   .of_fewer_samples = true});
    if (!exact_) return;
    options.stand_ins.push_back({.op = fast_.get(), .rounding = rounding});
    options.take_last_stand_in = config_.numerics.precision == Precision::single;
  }

  void tell(spectrum::Spectrum& found) const {
    if (!pruned_) return;
    found.seconds += seconds_;
    found.pruning = {.samples = pruned_->dropped(),
                     .bound = pruned_->bound(),
                     .matvecs = found.pruned_matvecs + pruned_->estimate_products()};
  }

 private:
  static std::unique_ptr<nn::Linearisation<double>> exactly(const Comm& comm, const nn::Network& network,
                                                            const std::vector<double>& parameters,
                                                            const data::Dataset& data,
                                                            const deck::Config& config) {
    if (std::is_same_v<Real, double>) return nullptr;
    // Products of blocks share what is not kept.
    return std::make_unique<nn::Linearisation<double>>(
        comm, network, parameters, analysed<double>(comm, data.train, config),
        nn::Linearisation<double>::Options{.tile = config.numerics.tile, .cache_bytes = 0});
  }

  const deck::Config& config_;
  nn::BlockLayout block_;
  std::unique_ptr<nn::Linearisation<double>> exactly_;  ///< where Real is not double
  nn::Linearisation<Real> linearisation_;
  std::unique_ptr<LinearOperator> fast_;
  std::optional<Momentary> exact_;
  std::optional<PrunedCurvature<Real>> pruned_;
  double seconds_ = 0.0;  ///< of the choice of samples
};

template <class Real>
spectrum::Spectrum find_spectrum_in(const Comm& comm, const nn::Network& network,
                                    const std::vector<double>& parameters, const data::Dataset& data,
                                    const deck::Config& config, Log& log, const Continuation& continuation) {
  const deck::Spectrum& asked = *config.spectrum;
  const nn::BlockLayout block = operators::select_block(network, asked.block);
  operators::Work work = planned_work(network, block, data, config);
  if (!work.cache_bytes)
    work.cache_bytes = automatic_cache(work, asked, memory_per_rank(comm), comm.rank(), comm.size());
  operators::MemoryPlan plan = memory_of(work, asked, comm.rank(), comm.size());
  plan.process = held_already(work, comm.rank(), comm.size());
  log.detail("memory planned for the products and the solve on rank 0: " + describe(plan));
  Operators<Real> ops(comm, network, parameters, data, config, work.cache_bytes);
  const std::uint64_t cached = ops.linearisation().cached_bytes();
  log.detail(
      fmt::format("activities kept on rank 0: {:.1f} MiB{}", static_cast<double>(cached) / (1 << 20),
                  ops.linearisation().fully_cached() ? "" : ", the rest is computed anew for each product"));

  Progress progress(log, "eigenpairs", "products", 0);
  spectrum::Options options = solver_options(config);
  options.monitor = [&](Index products, Index converged) {
    progress.update(static_cast<double>(products), fmt::format("{} converged", converged));
  };
  options.from = continuation.from.point;
  if (continuation.on_restart)
    options.on_restart = [&](const spectrum::Stage& stage, const petsc::EigenState& state, bool stopping) {
      continuation.on_restart(ops.asked().range(), stage, state, stopping);
    };
  if (const Index layer = assembled_layer(work, asked); layer >= 0)
    options.assemble = [&, layer] {
      const bool bias = block.bias_offset[static_cast<std::size_t>(layer)] != nn::BlockLayout::absent;
      return operators::assemble_layer_hessian(ops.linearisation(), layer, bias);
    };
  if (asked.prune > 0)
    ops.prune(data, parameters, *work.cache_bytes - std::min(*work.cache_bytes, cached), log);
  ops.stand_in(options);
  spectrum::Spectrum found = spectrum::compute(ops.asked(), options);
  ops.tell(found);
  found.planned_bytes = comm.max(plan.total());
  found.peak_bytes = comm.max(peak_memory());
  return found;
}

}  // namespace

nn::Network make_network(const deck::Network& config, const data::Dataset& data) {
  std::vector<nn::LayerSpec> layers;
  for (std::size_t l = 0; l < config.layers.size(); ++l) {
    const deck::Layer& layer = config.layers[l];
    layers.push_back({.kind = layer.type,
                      .name = layer.name,
                      .units = layer.units,
                      .activation = deck::layer_activation(config, l),
                      .bias = deck::layer_bias(config, l),
                      .dropout = layer.dropout});
  }
  if (layers.back().units != std::ssize(data.classes))
    throw UsageError(
        fmt::format("network.layers: the last layer '{}' has {} units, but the data have {} classes; one "
                    "logit a class is needed",
                    layers.back().name, layers.back().units, data.classes.size()));
  return nn::Network(data.features, layers, config.loss);
}

void check_labels(const data::Dataset& data, const deck::Config& config) {
  std::vector<Index> train(data.classes.size()), test(data.classes.size());
  for (Index position : data::correct_positions(data.train))
    ++train[static_cast<std::size_t>(data.train.label[static_cast<std::size_t>(position)])];
  for (int label : data.test.label) ++test[static_cast<std::size_t>(label)];
  if (std::ranges::count(train, 0) == std::ssize(train))
    throw DataError(
        fmt::format("data.label_noise = {} leaves no training sample its label", config.data.label_noise));
  if (!config.duality) return;
  const bool from_test = config.duality->anchor == Anchor::test;
  const auto& anchors = from_test ? test : train;
  const auto& partners = from_test ? train : test;
  const std::string partner_name = from_test ? "correctly labelled training" : "test";
  const deck::Duality& asked = *config.duality;
  const Index needed = asked.pairing == PairingKind::random ? 1 : asked.neighbours + asked.neighbour_rank - 1;
  for (std::size_t c = 0; c < data.classes.size(); ++c) {
    if (anchors[c] == 0 || partners[c] >= needed) continue;
    throw DataError(fmt::format(
        "class {} has {} {} samples to be paired, but {}", data.classes[c], anchors[c],
        from_test ? "test" : "training",
        partners[c] == 0
            ? fmt::format("no {} sample", partner_name)
            : fmt::format("only {} {} samples, fewer than duality.neighbours = {}{}", partners[c],
                          partner_name, asked.neighbours,
                          asked.neighbour_rank > 1
                              ? fmt::format(" from duality.neighbour_rank = {} on", asked.neighbour_rank)
                              : "")));
  }
}

void check_spectrum(const nn::Network& network, const deck::Config& config) {
  if (!config.spectrum) return;
  const nn::BlockLayout block = operators::select_block(network, config.spectrum->block);
  spectrum::require_possible(block.size, solver_options(config));
}

void require_room(const Comm& comm, const nn::Network& network, const deck::Config& config) {
  if (!config.spectrum || config.spectrum->which == Which::all) return;
  const deck::Spectrum& asked = *config.spectrum;
  const nn::BlockLayout block = operators::select_block(network, asked.block);
  petsc::require_room(comm, block.size,
                      {.which = asked.which, .count = asked.count, .block = asked.solver_block});
}

std::vector<double> load_weights(const Comm& comm, const nn::Network& network,
                                 const std::filesystem::path& path) {
  std::vector<double> parameters(static_cast<std::size_t>(network.parameters()));
  on_root(comm, [&] {
    const h5::InputFile file(path);
    for (const nn::Layer& layer : network.layers()) {
      const std::string group = "model/" + layer.name;
      const auto take = [&](const std::string& name, const std::vector<Index>& shape, Index offset) {
        file.expect_shape(name, shape);
        const auto values = file.read_doubles(name);
        for (double value : values)
          if (!std::isfinite(value))
            throw DataError(
                fmt::format("'{}': dataset '{}' holds a value that is not finite", path.string(), name));
        std::ranges::copy(values, parameters.begin() + offset);
      };
      take(group + "/weight", {layer.out, layer.in}, layer.weight_offset);
      if (layer.bias)
        take(group + "/bias", {layer.out}, layer.bias_offset);
      else if (file.exists(group + "/bias"))
        throw DataError(
            fmt::format("'{}' holds '{}/bias', but layer '{}' of the deck has no bias (network.bias = false)",
                        path.string(), group, layer.name));
    }
  });
  comm.broadcast(std::span(parameters));
  return parameters;
}

Losses measure_losses(const Comm& comm, const nn::Network& network, const std::vector<double>& parameters,
                      const data::Dataset& data, const deck::Config& config) {
  nn::Model<double> model(network);
  model.set_parameters(parameters);
  return {.train = nn::evaluate(comm, model, analysed<double>(comm, data.train, config)),
          .test = nn::evaluate(comm, model, analysed<double>(comm, data.test, config))};
}

spectrum::Spectrum find_spectrum(const Comm& comm, const nn::Network& network,
                                 const std::vector<double>& parameters, const data::Dataset& data,
                                 const deck::Config& config, Log& log, const Continuation& continuation) {
  return solves_in_single(config)
             ? find_spectrum_in<float>(comm, network, parameters, data, config, log, continuation)
             : find_spectrum_in<double>(comm, network, parameters, data, config, log, continuation);
}

std::string fingerprint(const Comm& comm, const data::Dataset& data, const deck::Config& config,
                        std::uint64_t weights, bool of_training) {
  const auto positions =
      of_training ? data::all_positions(data.train.count()) : data::correct_positions(data.train);
  const auto samples = data::make_samples<double>(
      comm, data.train, positions, lanes_for(std::ssize(positions), config.numerics), config.data.scale);
  return fingerprint_of(comm, samples, data.features, weights);
}

std::string fingerprint_of_test(const Comm& comm, const data::Dataset& data, const deck::Config& config) {
  return fingerprint_of(comm, analysed<double>(comm, data.test, config), data.features, hash_of({}));
}

StoredSolve read_solve(const Comm& comm, const nn::Network& network, const deck::Config& config,
                       const std::filesystem::path& path) {
  const nn::BlockLayout block = operators::select_block(network, config.spectrum->block);
  return read_solve(comm, path, Partition(block.size, comm.size()));
}

}  // namespace dualscape::study
