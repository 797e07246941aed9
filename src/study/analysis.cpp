#include "dualscape/study/analysis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

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

/// The single layer a block consists of, whose Hessian has an assembly of its own; -1 for any other block.
Index single_layer(const nn::Network& network, const nn::BlockLayout& block) {
  Index found = -1;
  for (Index l = 0; l < network.depth(); ++l) {
    const bool weight = block.weight_offset[static_cast<std::size_t>(l)] != nn::BlockLayout::absent;
    const bool bias = block.bias_offset[static_cast<std::size_t>(l)] != nn::BlockLayout::absent;
    if (!weight && !bias) continue;
    if (!weight || found >= 0) return -1;
    found = l;
  }
  return found;
}

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

/// Solves with the samples that matter, as far as that goes. `budget`: bytes left to their activities.
template <class Real>
spectrum::Spectrum find_pruned(const nn::Linearisation<Real>& linearisation, const LinearOperator& curvature,
                               const nn::BlockLayout& block, const std::vector<double>& parameters,
                               const data::Dataset& data, const deck::Config& config, std::uint64_t budget,
                               spectrum::Options options, Log& log) {
  const Comm& comm = linearisation.comm();
  const auto start = std::chrono::steady_clock::now();
  const PrunedCurvature<Real> pruned(config.spectrum->curvature, linearisation, block,
                                     some_analysed<Real>(comm, data.train, config), config.spectrum->prune,
                                     config.seed, parameters, budget);
  const std::chrono::duration<double> preparation = std::chrono::steady_clock::now() - start;
  log.info("spectrum: {} of {} samples are left out of the solve, |difference| <= {:.2e}; chosen in {:.2f} s",
           pruned.dropped(), linearisation.lanes().samples(), pruned.bound(), preparation.count());
  options.stand_in = &pruned.op();
  options.stand_in_distance = pruned.bound();
  spectrum::Spectrum found = spectrum::compute(curvature, options);
  found.seconds += comm.broadcast_value(preparation.count());
  found.pruning = {.samples = pruned.dropped(),
                   .bound = pruned.bound(),
                   .matvecs = found.stand_in_matvecs + pruned.estimate_products()};
  return found;
}

template <class Real>
spectrum::Spectrum find_spectrum_in(const Comm& comm, const nn::Network& network,
                                    const std::vector<double>& parameters, const data::Dataset& data,
                                    const deck::Config& config, Log& log, const Continuation& continuation) {
  const deck::Spectrum& asked = *config.spectrum;
  const nn::BlockLayout block = operators::select_block(network, asked.block);
  operators::Work work = planned_work(network, block, data, config);
  if (!work.cache_bytes)
    work.cache_bytes = automatic_cache(work, memory_per_rank(comm), comm.rank(), comm.size());
  operators::MemoryPlan plan = memory_of(work, asked, comm.rank(), comm.size());
  plan.process = held_already(work, comm.rank(), comm.size());
  log.detail("memory planned for the products and the solve on rank 0: " + describe(plan));
  const nn::Linearisation<Real> linearisation(
      comm, network, parameters, analysed<Real>(comm, data.train, config),
      {.tile = config.numerics.tile, .cache_bytes = work.cache_bytes});
  log.detail(fmt::format("activities kept on rank 0: {:.1f} MiB{}",
                         static_cast<double>(linearisation.cached_bytes()) / (1 << 20),
                         linearisation.fully_cached() ? "" : ", the rest is computed anew for each product"));
  const auto curvature = operators::make_curvature<Real>(asked.curvature, linearisation, block);

  Progress progress(log, "eigenpairs", "products", 0);
  spectrum::Options options = solver_options(config);
  options.rounding = std::numeric_limits<Real>::epsilon();
  options.monitor = [&](Index products, Index converged) {
    progress.update(static_cast<double>(products), fmt::format("{} converged", converged));
  };
  options.from = continuation.from.state;
  if (continuation.on_restart)
    options.on_restart = [&](const petsc::EigenState& state, bool stopping) {
      continuation.on_restart(curvature->range(), state, stopping);
    };
  const Index layer = single_layer(network, block);
  if (asked.which == Which::all && asked.curvature == Curvature::hessian && layer >= 0 &&
      network.layer(layer).kind == LayerKind::dense)
    options.assemble = [&, layer] {
      const bool bias = block.bias_offset[static_cast<std::size_t>(layer)] != nn::BlockLayout::absent;
      return operators::assemble_layer_hessian(linearisation, layer, bias);
    };
  spectrum::Spectrum found =
      asked.prune > 0
          ? find_pruned(linearisation, *curvature, block, parameters, data, config,
                        *work.cache_bytes - std::min(*work.cache_bytes, linearisation.cached_bytes()),
                        options, log)
          : spectrum::compute(*curvature, options);
  found.planned_bytes = comm.max(plan.total());
  found.peak_bytes = comm.max(peak_memory());
  return found;
}

/// Inputs of a set's samples by position, as the network takes them.
duality::InputRows scaled_inputs(const Comm& comm, const data::SampleSet& set, double scale) {
  return [&comm, &set, scale](std::span<const Index> positions) {
    const data::Rows rows = set.rows.fetch(comm, positions);
    Matrix<double> out(rows.count(), set.rows.features());
    rows.copy_scaled(0, rows.count(), out.view(), scale);
    return out;
  };
}

duality::InputRows raw_inputs(const Comm& comm, const data::SampleSet& set) {
  return [&comm, &set](std::span<const Index> positions) {
    const data::Rows rows = set.rows.fetch(comm, positions);
    Matrix<double> out(rows.count(), set.rows.features());
    rows.copy_raw(0, rows.count(), out.view());
    return out;
  };
}

duality::Side side_of(const data::SampleSet& set, std::vector<Index> positions, duality::InputRows rows) {
  duality::Side side;
  for (Index position : positions) side.labels.push_back(set.label[static_cast<std::size_t>(position)]);
  side.positions = std::move(positions);
  side.rows = std::move(rows);
  return side;
}

std::vector<duality::Pair> make_pairs(const Comm& comm, const nn::Model<double>& model, Index layer,
                                      const data::Dataset& data, const deck::Config& config) {
  const deck::Duality& asked = *config.duality;
  const double scale = config.data.scale;
  const auto activities = [&](const data::SampleSet& set) -> duality::InputRows {
    return [&, inputs = scaled_inputs(comm, set, scale)](std::span<const Index> positions) {
      return duality::entering_activities(model, layer, inputs(positions));
    };
  };
  const bool by_activity = asked.pairing == PairingKind::nearest_activity;
  // Pixels are compared as the integers they are, where a GEMM's distances are exact.
  const auto rows = [&](const data::SampleSet& set) {
    return by_activity ? activities(set) : raw_inputs(comm, set);
  };
  const auto train = side_of(data.train, data::correct_positions(data.train), rows(data.train));
  const auto test = side_of(data.test, data::all_positions(data.test.count()), rows(data.test));
  const bool from_test = asked.anchor == Anchor::test;
  const auto& anchors = from_test ? test : train;
  const auto& partners = from_test ? train : test;
  const std::string test_name = "test", train_name = "training";
  const auto& anchor_name = from_test ? test_name : train_name;
  const auto& partner_name = from_test ? train_name : test_name;
  const bool integral = !by_activity && data.train.rows.is_integer() && data.test.rows.is_integer();
  auto matches = asked.pairing == PairingKind::random
                     ? duality::random_match(comm, anchors, partners, config.seed, anchor_name, partner_name,
                                             asked.neighbours)
                     : duality::nearest(comm, anchors, partners, integral, anchor_name, partner_name,
                                        asked.neighbours, asked.neighbour_rank);
  if (integral)
    for (auto& match : matches) match.distance /= scale;
  return duality::as_pairs(matches, asked.anchor);
}

/// Whether no direction outside the computed ones has a larger sigma_g than the last sharp one: its square
/// against the largest eigenvalue of the secant covariance projected off the computed directions.
bool certify_sharp(const Comm& comm, const LayerDuality& result, const duality::Directions& directions,
                   const deck::Config& config) {
  const duality::Decomposition& d = result.decomposition;
  if (d.sharp_certified || !d.sharp_reached || d.sharp_directions.empty() ||
      config.duality->sharp_by == SharpBy::eigenvalue)
    return d.sharp_certified;
  const auto& sigma = d.directions.sigma_g;
  const double last = std::pow(sigma[static_cast<std::size_t>(d.sharp_directions.back())], 2);
  double rest = std::pow(d.whole_determinants.sharpness, 2);
  for (double value : sigma) rest -= value * value;
  if (rest <= last) return true;  // The trace bounds the eigenvalue.
  const duality::WeightOperator secants(comm, result.duals, DualOperator::secant_covariance,
                                        directions.partition, directions.place);
  const duality::OffSubspace outside(secants, directions.vectors);
  const auto found = spectrum::compute(outside, {.count = 1, .tolerance = 1e-6, .seed = config.seed});
  return found.as_asked() && found.values.front() + found.value_bounds.front() <= last;
}

/// What rounding may add to a residual, relative to |H|, as in the certificate of the eigenpairs.
double rounding_of(const deck::Config& config) {
  return 50 * (config.numerics.precision == Precision::double_ ? std::numeric_limits<double>::epsilon()
                                                               : std::numeric_limits<float>::epsilon());
}

duality::Place place_of(const nn::BlockLayout& block, Index layer, DualKind dual) {
  const auto at = static_cast<std::size_t>(layer);
  return {.weight = block.weight_offset[at],
          .bias = dual == DualKind::augmented ? block.bias_offset[at] : Index{-1}};
}

duality::CoVector covector_of(const nn::Linearisation<double>& linearisation, Index layer,
                              const deck::Duality& asked) {
  if (asked.dual != DualKind::metric) return {.kind = asked.dual, .metric_factor = {}};
  return duality::metric_covector(linearisation, layer, asked.ridge);
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
  return config.numerics.precision == Precision::double_
             ? find_spectrum_in<double>(comm, network, parameters, data, config, log, continuation)
             : find_spectrum_in<float>(comm, network, parameters, data, config, log, continuation);
}

std::string fingerprint(const Comm& comm, const data::Dataset& data, const deck::Config& config,
                        const std::vector<double>& parameters, bool of_training) {
  const auto positions =
      of_training ? data::all_positions(data.train.count()) : data::correct_positions(data.train);
  const auto samples = data::make_samples<double>(
      comm, data.train, positions, lanes_for(std::ssize(positions), config.numerics), config.data.scale);
  return fingerprint_of(comm, samples, data.features, parameters);
}

std::string fingerprint_of_pairs(const Comm& comm, const data::Dataset& data, const deck::Config& config,
                                 const std::vector<double>& parameters) {
  return fingerprint(comm, data, config, parameters, false) +
         fingerprint_of(comm, analysed<double>(comm, data.test, config), data.features, {});
}

StoredSolve read_solve(const Comm& comm, const nn::Network& network, const deck::Config& config,
                       const std::filesystem::path& path) {
  const nn::BlockLayout block = operators::select_block(network, config.spectrum->block);
  return read_solve(comm, path, Partition(block.size, comm.size()));
}

std::vector<LayerDuality> decompose_gap(const Comm& comm, const nn::Network& network,
                                        const std::vector<double>& parameters, const data::Dataset& data,
                                        const deck::Config& config, const spectrum::Spectrum& spectrum,
                                        Log& log, const LayerStore& store) {
  const nn::BlockLayout block = operators::select_block(network, config.spectrum->block);
  nn::Model<double> model(network);
  model.set_parameters(parameters);
  const duality::PairInputs inputs{
      .test = scaled_inputs(comm, data.test, config.data.scale),
      .train = scaled_inputs(comm, data.train, config.data.scale),
      .label = [&](Index test) { return data.test.label[static_cast<std::size_t>(test)]; }};
  const nn::Linearisation<double> linearisation(comm, network, parameters,
                                                analysed<double>(comm, data.train, config),
                                                {.tile = config.numerics.tile, .cache_bytes = 0});
  const auto curvature = operators::make_curvature<double>(config.spectrum->curvature, linearisation, block);
  duality::Directions directions{.values = spectrum.values,
                                 .angle_bounds = spectrum.angle_bounds,
                                 .vectors = spectrum.vectors.view(),
                                 .partition = Partition(spectrum.size, comm.size()),
                                 .place = {},
                                 .complete = spectrum.complete(),
                                 .clusters = spectrum.clusters,
                                 .upper = spectrum.upper,
                                 .residuals = spectrum.residuals,
                                 .value_rounding = rounding_of(config) * spectrum.norm_estimate};
  const duality::DecompositionOptions options{.sharp = config.duality->sharp,
                                              .sharp_by = config.duality->sharp_by,
                                              .sharp_share = config.duality->sharp_share,
                                              .resamples = config.duality->bootstrap,
                                              .seed = config.seed,
                                              .curvature = curvature.get()};

  std::vector<LayerDuality> results;
  for (const std::string& name : deck::analysed_layers(config)) {
    if (auto finished = store.find ? store.find(name) : std::nullopt) {
      results.push_back(std::move(*finished));
      continue;
    }
    LayerDuality result;
    result.layer = name;
    const Index layer = network.find(name);
    directions.place = place_of(block, layer, config.duality->dual);
    const bool same_pairs = !results.empty() && config.duality->pairing != PairingKind::nearest_activity;
    result.pairs = same_pairs ? results.front().pairs : make_pairs(comm, model, layer, data, config);
    result.duals =
        duality::make_duals(comm, model, layer, lanes_for(std::ssize(result.pairs), config.numerics),
                            result.pairs, inputs, covector_of(linearisation, layer, *config.duality));
    result.decomposition = duality::decompose(comm, model, layer, result.duals, directions, options);
    result.decomposition.sharp_certified = certify_sharp(comm, result, directions, config);
    result.operators = find_operator_spectra(comm, result.duals, directions, config);
    for (const OperatorSpectrum& found : result.operators)
      if (!found.spectrum.as_asked())
        log.warning("{} at {}: only {} of {} eigenpairs converged ({})", name_of(found.kind), name,
                    found.spectrum.converged(), found.spectrum.requested, found.spectrum.reason);
    if (result.decomposition.kept_pairs + result.decomposition.zero_duals <= config.duality->co_spectrum)
      result.co_spectrum = directions.complete
                               ? duality::co_spectrum(comm, directions.values, directions.vectors,
                                                      directions.partition, result.duals, directions.place)
                               : duality::co_spectrum(*curvature, result.duals, directions.place);
    if (const Index dropped = result.decomposition.dropped_pairs; dropped > 0)
      log.warning(
          "{} of {} pairs have no dual weight at {} (its input is zero for the training partner) and are "
          "left out",
          dropped, result.pairs.size(), result.layer);
    if (store.keep) store.keep(result);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace dualscape::study
