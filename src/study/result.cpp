#include "dualscape/study/result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/study/provenance.hpp"

namespace dualscape::study {
namespace {

namespace format = h5::format;

void add_model(h5::OutputFile& file, const nn::Network& network, std::span<const double> parameters) {
  for (const nn::Layer& layer : network.layers()) {
    const std::string group = "model/" + layer.name;
    const auto part = [&](Index offset, Index size) {
      return parameters.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    };
    file.add(group + "/weight", part(layer.weight_offset, layer.weight_size), {layer.out, layer.in});
    if (layer.bias) file.add(group + "/bias", part(layer.bias_offset, layer.out), {layer.out});
  }
}

void add_list(h5::OutputFile& file, const std::string& path, std::span<const double> values) {
  file.add(path, values, {std::ssize(values)});
}
void add_list(h5::OutputFile& file, const std::string& path, std::span<const Index> values) {
  file.add(path, values, {std::ssize(values)});
}

void add_history(h5::OutputFile& file, const train::History& history) {
  add_list(file, "training/epoch", history.epoch);
  add_list(file, "training/loss", history.loss);
  add_list(file, "training/accuracy", history.accuracy);
  add_list(file, "training/test_loss", history.test_loss);
  add_list(file, "training/test_accuracy", history.test_accuracy);
}

void add_data(h5::OutputFile& file, const data::Dataset& data) {
  file.attribute("data", "source", data.description);
  file.attribute("data", "classes", data.classes);
  add_list(file, "data/train_index", data.train.source_index);
  add_list(file, "data/test_index", data.test.source_index);
  std::vector<std::uint8_t> correct;
  for (Index i = 0; i < data.train.count(); ++i) correct.push_back(data.train.label_correct(i) ? 1 : 0);
  file.add("data/label_correct", std::span<const std::uint8_t>(correct), {data.train.count()});
}

void add_losses(h5::OutputFile& file, const Losses& losses) {
  file.attribute("loss", "train_loss", losses.train.loss);
  file.attribute("loss", "test_loss", losses.test.loss);
  file.attribute("loss", "train_accuracy", losses.train.accuracy);
  file.attribute("loss", "test_accuracy", losses.test.accuracy);
  file.attribute("loss", "gap", losses.gap());
}

/// Gathers rows of distributed vectors on rank 0, for the writer.
h5::RowProvider rows_of(const Comm& comm, const Partition& partition, ConstMultiVector vectors) {
  return [&comm, partition, vectors](Index first, Index count, Matrix<double>& block) {
    const int own = static_cast<int>(partition.count(comm.rank()));
    std::vector<int> counts, starts;
    for (int r = 0; r < comm.size(); ++r) {
      counts.push_back(static_cast<int>(partition.count(r)));
      starts.push_back(static_cast<int>(partition.begin(r)));
    }
    for (Index i = 0; i < count; ++i)
      MPI_Gatherv(vectors.row(first + i).data(), own, MPI_DOUBLE,
                  comm.is_root() ? block.row(i).data() : nullptr, counts.data(), starts.data(), MPI_DOUBLE, 0,
                  comm.get());
  };
}

/// The inverse: rows of a dataset that rank 0 reads, spread over the ranks. @note Collective
void scatter_rows(const Comm& comm, const std::filesystem::path& path, const std::string& dataset,
                  const Partition& partition, MultiVector out) {
  std::vector<int> counts, starts;
  for (int r = 0; r < comm.size(); ++r) {
    counts.push_back(static_cast<int>(partition.count(r)));
    starts.push_back(static_cast<int>(partition.begin(r)));
  }
  std::vector<double> rows;
  on_root(comm, [&] { rows = h5::InputFile(path).read_doubles(dataset); });
  for (Index i = 0; i < out.rows; ++i)
    MPI_Scatterv(comm.is_root() ? rows.data() + i * partition.size() : nullptr, counts.data(), starts.data(),
                 MPI_DOUBLE, out.row(i).data(), counts[static_cast<std::size_t>(comm.rank())], MPI_DOUBLE, 0,
                 comm.get());
}

void add_spectrum(h5::OutputFile& file, const Comm& comm, const std::string& group,
                  const spectrum::Spectrum& s, bool eigenvectors) {
  add_list(file, group + "/eigenvalues", s.values);
  add_list(file, group + "/residuals", s.residuals);
  add_list(file, group + "/value_bounds", s.value_bounds);
  add_list(file, group + "/angle_bounds", s.angle_bounds);
  add_list(file, group + "/clusters", s.clusters);
  if (eigenvectors)
    file.add_rows(group + "/eigenvectors", s.converged(), s.size,
                  rows_of(comm, Partition(s.size, comm.size()), s.vectors.view()));
  file.attribute(group, "which", std::string(name_of(s.which)));
  file.attribute(group, "requested", s.requested);
  file.attribute(group, "converged", s.converged());
  file.attribute(group, "reason", s.reason);
  file.attribute(group, "matvecs", s.matvecs);
  file.attribute(group, "check_matvecs", s.check_matvecs);
  if (s.pruning) {
    file.attribute(group, "samples_pruned", s.pruning->samples);
    file.attribute(group, "prune_bound", s.pruning->bound);
    file.attribute(group, "matvecs_pruned", s.pruning->matvecs);
  }
  file.attribute(group, "cluster_cut", s.cluster_cut);
  file.attribute(group, "upper", s.upper);
  file.attribute(group, "seconds", s.seconds);
  file.attribute(group, "orthogonality_defect", s.orthogonality_defect);
  file.attribute(group, "symmetry_defect", s.symmetry_defect);
  file.attribute(group, "norm_estimate", s.norm_estimate);
}

/// Of a solve whose memory was planned.
void add_memory(h5::OutputFile& file, const std::string& group, const spectrum::Spectrum& s) {
  file.attribute(group, "planned_bytes", static_cast<Index>(s.planned_bytes));
  file.attribute(group, "peak_bytes", static_cast<Index>(s.peak_bytes));
}

void add_directions(h5::OutputFile& file, const std::string& group, const std::vector<double>& eigenvalues,
                    const duality::PerDirection& per) {
  add_list(file, group + "/eigenvalue", eigenvalues);
  add_list(file, group + "/mean_w", per.mean_w);
  add_list(file, group + "/mean_g", per.mean_g);
  add_list(file, group + "/sigma_w", per.sigma_w);
  add_list(file, group + "/sigma_g", per.sigma_g);
  add_list(file, group + "/correlation", per.correlation);
  add_list(file, group + "/contribution", per.contribution);
  add_list(file, group + "/contribution_bound", per.contribution_bound);
  add_list(file, group + "/order_by_sigma_g", per.order_by_sigma_g);
}

void add_clusters(h5::OutputFile& file, const std::string& group, const duality::PerCluster& per) {
  add_list(file, group + "/size", per.size);
  add_list(file, group + "/eigenvalue", per.eigenvalue);
  add_list(file, group + "/contribution", per.contribution);
  add_list(file, group + "/sigma_w_squared", per.sigma_w_squared);
  add_list(file, group + "/sigma_g_squared", per.sigma_g_squared);
  add_list(file, group + "/mean_square_w", per.mean_square_w);
  add_list(file, group + "/mean_square_g", per.mean_square_g);
  add_list(file, group + "/angle_bound", per.angle_bound);
  add_list(file, group + "/contribution_bound", per.contribution_bound);
}

void add_classes(h5::OutputFile& file, const std::string& group, const duality::ClassTotals& totals) {
  add_list(file, group + "/pairs", totals.pairs);
  for (std::size_t p = 0; p < duality::part_count; ++p)
    add_list(file, fmt::format("{}/{}", group, duality::part_names[p]), totals.parts[p]);
  const auto classes = std::ssize(totals.pairs);
  file.add(group + "/confusion", totals.confusion.entries(), {classes, classes});
  file.add(group + "/confusion_gap", totals.confusion_gap.entries(), {classes, classes});
}

void add_intervals(h5::OutputFile& file, const std::string& group, Index resamples,
                   const std::vector<duality::Interval>& intervals) {
  if (intervals.empty()) return;
  file.attribute(group, "resamples", resamples);
  for (std::size_t p = 0; p < duality::part_count; ++p) {
    const std::array ends = {intervals[p].low, intervals[p].high};
    add_list(file, fmt::format("{}/{}", group, duality::part_names[p]), ends);
  }
}

void add_operators(h5::OutputFile& file, const Comm& comm, const std::string& layer_group,
                   const LayerDuality& layer, bool eigenvectors) {
  for (const OperatorSpectrum& found : layer.operators) {
    const std::string group = fmt::format("{}/operators/{}", layer_group, name_of(found.kind));
    add_spectrum(file, comm, group, found.spectrum, eigenvectors);
    file.attribute(group, "alignment_commutator", found.alignment.commutator);
    file.attribute(group, "alignment_diagonal", found.alignment.diagonal);
  }
  if (!layer.co_spectrum.empty()) add_list(file, layer_group + "/co_spectrum", layer.co_spectrum);
}

void add_sharp(h5::OutputFile& file, const std::string& group, const duality::Decomposition& d,
               const deck::Duality& asked) {
  std::vector<std::uint8_t> sharp(d.directions.contribution.size());
  for (Index n : d.sharp_directions) sharp[static_cast<std::size_t>(n)] = 1;
  file.add(group + "/directions/sharp", std::span<const std::uint8_t>(sharp), {std::ssize(sharp)});
  file.attribute(group, "sharp", std::ssize(d.sharp_directions));
  file.attribute(group, "sharp_by", std::string(name_of(asked.sharp_by)));
  file.attribute(group, "sharp_certified", d.sharp_certified);
  file.attribute(group, "sharp_cuts_cluster", d.sharp_cuts_cluster);
}

void add_pairs(h5::OutputFile& file, const Comm& comm, const std::string& group, const LayerDuality& d) {
  std::vector<Index> test, train;
  std::vector<double> distance;
  for (const auto& pair : d.pairs) {
    test.push_back(pair.test);
    train.push_back(pair.train);
    distance.push_back(pair.distance);
  }
  add_list(file, group + "/test_index", test);
  add_list(file, group + "/train_index", train);
  add_list(file, group + "/distance", distance);
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    add_list(file, group + "/" + name, gather_pairs(comm, d.duals, values));
  };
  add("loss_gap", d.duals.loss_gap);
  add("dual_norm", d.duals.norm);
  add("exactness", d.duals.exactness);
  add("gradient_term", d.duals.gradient_term);
  add("curvature_term", d.duals.curvature_term);
  std::vector<double> own;
  for (duality::DualState state : d.duals.state) own.push_back(static_cast<double>(state));
  const auto all = gather_pairs(comm, d.duals, own);
  const std::vector<std::uint8_t> states(all.begin(), all.end());
  file.add(group + "/state", std::span<const std::uint8_t>(states), {std::ssize(states)});
}

void add_shares(h5::OutputFile& file, const std::string& group, const duality::Decomposition& d) {
  const auto add = [&](const std::string& name, const duality::Share& share) {
    file.attribute(group, name + "_contribution", share.whole);
    file.attribute(group, name + "_contribution_without_means", share.without_means);
  };
  add("total", d.total);
  add("complement", d.complement);
  add("sharp", d.sharp);
  add("flat", d.flat);
}

void add_bounds(h5::OutputFile& file, const std::string& group, const duality::Decomposition& d) {
  const auto largest = [](const std::vector<double>& values) {
    return values.empty() ? 0.0 : std::ranges::max(values);
  };
  file.attribute(group, "total_bound", d.total_bound);
  file.attribute(group, "sharp_bound", d.sharp_bound);
  file.attribute(group, "worst_bound", largest(d.clusters.contribution_bound));
  file.attribute(group, "worst_direction_bound", largest(d.directions.contribution_bound));
}

void add_determinants(h5::OutputFile& file, const std::string& group, const duality::Decomposition& d) {
  file.attribute(group, "sharp_sigma_g", d.sharp_determinants.sharpness);
  file.attribute(group, "sharp_sigma_w", d.sharp_determinants.size);
  file.attribute(group, "whole_sigma_g", d.whole_determinants.sharpness);
  file.attribute(group, "whole_sigma_w", d.whole_determinants.size);
}

void add_identities(h5::OutputFile& file, const std::string& group, const duality::Decomposition& d,
                    bool complete) {
  file.attribute(group, "identity_accounts", d.identities.accounts);
  file.attribute(group, "identity_dual_norm", d.identities.basis_share);
  file.attribute(group, "identity_products", d.identities.products);
  file.attribute(group, "identity_activity_norm", d.identities.activity_norm);
  if (!complete) return;
  file.attribute(group, "identity_size", d.identities.size);
  file.attribute(group, "identity_sharpness", d.identities.sharpness);
  file.attribute(group, "identity_curvature", d.identities.curvature);
}

void add_duality(h5::OutputFile& file, const Comm& comm, const Result& result, const LayerDuality& layer,
                 const deck::Config& config) {
  const deck::Duality& asked = *config.duality;
  const duality::Decomposition& d = layer.decomposition;
  const std::string group = "duality/" + layer.layer;
  add_directions(file, group + "/directions", result.spectrum->values, d.directions);
  add_sharp(file, group, d, asked);
  add_clusters(file, group + "/clusters", d.clusters);
  add_classes(file, group + "/classes", d.classes);
  add_intervals(file, group + "/intervals", asked.bootstrap, d.intervals);
  add_operators(file, comm, group, layer, config.output.eigenvectors);
  add_pairs(file, comm, group + "/pairs", layer);
  file.attribute(group, "pairing", std::string(name_of(asked.pairing)));
  file.attribute(group, "anchor", std::string(name_of(asked.anchor)));
  file.attribute(group, "neighbours", asked.neighbours);
  file.attribute(group, "neighbour_rank", asked.neighbour_rank);
  file.attribute(group, "dual", std::string(name_of(asked.dual)));
  if (asked.dual == DualKind::metric) file.attribute(group, "ridge", asked.ridge);
  file.attribute(group, "matched_gap", d.matched_gap);
  file.attribute(group, "real_gap", result.losses.gap());
  file.attribute(group, "mean_abs_loss_gap", d.mean_abs_loss_gap);
  file.attribute(group, "partner_loss", d.partner_loss);
  add_shares(file, group, d);
  add_bounds(file, group, d);
  add_determinants(file, group, d);
  file.attribute(group, "unresolved", d.unresolved);
  file.attribute(group, "zero_duals", d.zero_duals);
  file.attribute(group, "dropped_pairs", d.dropped_pairs);
  file.attribute(group, "kept_pairs", d.kept_pairs + d.zero_duals);
  file.attribute(group, "exactness", d.exactness);
  file.attribute(group, "exactness_pair", d.exactness_pair);
  file.attribute(group, "weight_norm", d.weight_norm);
  file.attribute(group, "activity_weighted_norm", d.activity_weighted_norm);
  file.attribute(group, "gradient_term", d.gradient_term);
  file.attribute(group, "curvature_term", d.curvature_term);
  file.attribute(group, "second_order", d.gradient_term + d.curvature_term);
  file.attribute(group, "mean_field", d.mean_field);
  add_identities(file, group, d, result.spectrum->complete());
  if (asked.anchor == Anchor::test && d.dropped_pairs == 0) {
    const double defect = d.matched_gap - result.losses.gap() - (result.losses.train.loss - d.partner_loss);
    file.attribute(group, "identity_real_gap",
                   d.mean_abs_loss_gap > 0 ? std::abs(defect) / d.mean_abs_loss_gap : 0.0);
  }
}

}  // namespace

void write_result(const Comm& comm, const std::filesystem::path& path, const nn::Network& network,
                  const data::Dataset& data, const Result& result, const Origin& origin,
                  Durability durability) {
  h5::OutputFile file(comm, path, format::result_filetype);
  add_provenance(file, comm, origin.config, origin.command_line);
  file.attribute("/", "seconds", origin.seconds);
  file.add("deck/original", origin.deck_original);
  file.add("deck/resolved", origin.deck_resolved);
  add_data(file, data);
  add_model(file, network, result.parameters);
  if (result.history) add_history(file, *result.history);
  add_losses(file, result.losses);
  if (result.spectrum) {
    const std::string group = "spectrum/" + operators::block_name(origin.config.spectrum->block);
    add_spectrum(file, comm, group, *result.spectrum, origin.config.output.eigenvectors);
    add_memory(file, group, *result.spectrum);
    file.attribute(group, "operator", std::string(name_of(origin.config.spectrum->curvature)));
    add_summary(file, comm, group, result.summary);
  }
  for (const LayerDuality& layer : result.dualities) add_duality(file, comm, result, layer, origin.config);
  file.commit(durability);
}

void write_training(const Comm& comm, const std::filesystem::path& path, const nn::Network& network,
                    const train::State& state, const std::string& fingerprint) {
  h5::OutputFile file(comm, path, format::checkpoint_filetype);
  file.attribute("/", "fingerprint", fingerprint);
  add_model(file, network, state.parameters);
  add_list(file, "training/velocity", state.velocity);
  add_history(file, state.history);
  file.attribute("training", "epochs_done", state.epoch);
  file.attribute("training", "stop", static_cast<Index>(state.stop));
  file.commit(Durability::flushed, true);
}

train::State read_training(const Comm& comm, const std::filesystem::path& path, const nn::Network& network) {
  train::State state;
  state.parameters = load_weights(comm, network, path);
  on_root(comm, [&] {
    const h5::InputFile file(path);
    file.expect_filetype(format::checkpoint_filetype, format::version[0]);
    state.velocity = file.read_doubles("training/velocity");
    state.epoch = file.attribute_integer("training", "epochs_done");
    state.stop = static_cast<train::Stop>(file.attribute_integer("training", "stop"));
    state.history.epoch = file.read_integers("training/epoch");
    state.history.loss = file.read_doubles("training/loss");
    state.history.accuracy = file.read_doubles("training/accuracy");
    state.history.test_loss = file.read_doubles("training/test_loss");
    state.history.test_accuracy = file.read_doubles("training/test_accuracy");
  });
  comm.broadcast(state.velocity);
  state.epoch = comm.broadcast_value(state.epoch);
  state.stop = comm.broadcast_value(state.stop);
  comm.broadcast(state.history.epoch);
  for (auto* values :
       {&state.history.loss, &state.history.accuracy, &state.history.test_loss, &state.history.test_accuracy})
    comm.broadcast(*values);
  return state;
}

void write_spectrum(const Comm& comm, const std::filesystem::path& path, const std::string& block,
                    const spectrum::Spectrum& spectrum, const std::string& fingerprint) {
  h5::OutputFile file(comm, path, format::checkpoint_filetype);
  file.attribute("/", "fingerprint", fingerprint);
  add_spectrum(file, comm, "spectrum/" + block, spectrum, true);
  add_memory(file, "spectrum/" + block, spectrum);
  file.commit(Durability::flushed, true);
}

spectrum::Spectrum read_spectrum(const Comm& comm, const std::filesystem::path& path,
                                 const std::string& block) {
  const std::string group = "spectrum/" + block;
  spectrum::Spectrum s;
  std::string which;
  on_root(comm, [&] {
    const h5::InputFile file(path);
    file.expect_filetype(format::checkpoint_filetype, format::version[0]);
    s.values = file.read_doubles(group + "/eigenvalues");
    s.residuals = file.read_doubles(group + "/residuals");
    s.value_bounds = file.read_doubles(group + "/value_bounds");
    s.angle_bounds = file.read_doubles(group + "/angle_bounds");
    s.clusters = file.read_integers(group + "/clusters");
    s.size = file.shape(group + "/eigenvectors")[1];
    which = file.attribute_text(group, "which");
    s.reason = file.attribute_text(group, "reason");
    s.requested = file.attribute_integer(group, "requested");
    s.matvecs = file.attribute_integer(group, "matvecs");
    s.check_matvecs = file.attribute_integer(group, "check_matvecs");
    if (file.has_attribute(group, "samples_pruned"))
      s.pruning = {.samples = file.attribute_integer(group, "samples_pruned"),
                   .bound = file.attribute_real(group, "prune_bound"),
                   .matvecs = file.attribute_integer(group, "matvecs_pruned")};
    s.cluster_cut = file.attribute_integer(group, "cluster_cut") != 0;
    s.upper = file.attribute_integer(group, "upper");
    s.seconds = file.attribute_real(group, "seconds");
    s.planned_bytes = static_cast<std::uint64_t>(file.attribute_integer(group, "planned_bytes"));
    s.peak_bytes = static_cast<std::uint64_t>(file.attribute_integer(group, "peak_bytes"));
    s.orthogonality_defect = file.attribute_real(group, "orthogonality_defect");
    s.symmetry_defect = file.attribute_real(group, "symmetry_defect");
    s.norm_estimate = file.attribute_real(group, "norm_estimate");
  });
  for (auto* values : {&s.values, &s.residuals, &s.value_bounds, &s.angle_bounds}) comm.broadcast(*values);
  comm.broadcast(s.clusters);
  for (auto* text : {&which, &s.reason}) comm.broadcast(*text);
  for (auto* count : {&s.size, &s.requested, &s.matvecs, &s.check_matvecs, &s.upper})
    *count = comm.broadcast_value(*count);
  for (auto* value : {&s.seconds, &s.orthogonality_defect, &s.symmetry_defect, &s.norm_estimate})
    *value = comm.broadcast_value(*value);
  for (auto* bytes : {&s.planned_bytes, &s.peak_bytes}) *bytes = comm.broadcast_value(*bytes);
  s.cluster_cut = comm.broadcast_value(s.cluster_cut);
  s.pruning = comm.broadcast_value(s.pruning);
  s.which = parse_choice<Which>(which).value_or(Which::largest);
  const Partition partition(s.size, comm.size());
  s.vectors = Matrix<double>(s.converged(), partition.count(comm.rank()));
  scatter_rows(comm, path, group + "/eigenvectors", partition, s.vectors.view());
  return s;
}

}  // namespace dualscape::study
