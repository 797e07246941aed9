#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "dualscape/base/error.hpp"
#include "dualscape/data/shard.hpp"
#include "dualscape/duality/weight_space.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "dualscape/study/analysis.hpp"
#include "samples.hpp"

namespace dualscape::study {
namespace {

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

/// The same as bytes, where they are.
std::function<Matrix<std::uint8_t>(std::span<const Index>)> pixels_of(const Comm& comm,
                                                                      const data::SampleSet& set) {
  if (!set.rows.is_bytes() || set.rows.features() > duality::most_pixels) return {};
  return [&comm, &set](std::span<const Index> positions) {
    const data::Rows rows = set.rows.fetch(comm, positions);
    Matrix<std::uint8_t> out(rows.count(), rows.features());
    std::memcpy(out.data(), rows.data(), out.entries().size());
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
  auto train = side_of(data.train, data::correct_positions(data.train), rows(data.train));
  auto test = side_of(data.test, data::all_positions(data.test.count()), rows(data.test));
  if (!by_activity) {
    train.pixels = pixels_of(comm, data.train);
    test.pixels = pixels_of(comm, data.test);
  }
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
                                 .value_rounding = spectrum::residual_floor(
                                     spectrum.norm_estimate, std::numeric_limits<double>::epsilon()),
                                 .rest_below = spectrum.rest_below,
                                 .rest_above = spectrum.rest_above};
  duality::DecompositionOptions options{.sharp = config.duality->sharp,
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
    if (store.pass) options.pass = store.pass(name, result.duals.lanes);
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
