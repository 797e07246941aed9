#include "dualscape/study/result.hpp"

#include <fmt/format.h>

#include "distributed_rows.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/study/duality_group.hpp"
#include "dualscape/study/provenance.hpp"
#include "groups.hpp"

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

std::vector<std::span<const double>> rows_of(ConstMultiVector vectors) {
  std::vector<std::span<const double>> rows;
  for (Index n = 0; n < vectors.rows; ++n) rows.push_back(vectors.row(n));
  return rows;
}

/// What only the solve of a curvature's own spectrum has: two precisions, a second start, a plan of its
/// memory.
void add_solve(h5::OutputFile& file, const std::string& group, const spectrum::Spectrum& s) {
  file.attribute(group, "matvecs_single", s.single_matvecs);
  file.attribute(group, "matvecs_double", s.matvecs - s.single_matvecs);
  file.attribute(group, "second_matvecs", s.second_matvecs);
  file.attribute(group, "planned_bytes", static_cast<Index>(s.planned_bytes));
  file.attribute(group, "peak_bytes", static_cast<Index>(s.peak_bytes));
}

}  // namespace

void add_list(h5::OutputFile& file, const std::string& path, std::span<const double> values) {
  file.add(path, values, {std::ssize(values)});
}
void add_list(h5::OutputFile& file, const std::string& path, std::span<const Index> values) {
  file.add(path, values, {std::ssize(values)});
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
                  gathered(comm, Partition(s.size, comm.size()), rows_of(s.vectors.view())));
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
  if (s.rest_below) file.attribute(group, "rest_below", *s.rest_below);
  if (s.rest_above) file.attribute(group, "rest_above", *s.rest_above);
  if (s.matrix_distance) {
    file.attribute(group, "matrix_distance", s.matrix_distance->bound);
    file.attribute(group, "matrix_probes", s.matrix_distance->probes);
  }
  file.attribute(group, "upper", s.upper);
  file.attribute(group, "seconds", s.seconds);
  file.attribute(group, "orthogonality_defect", s.orthogonality_defect);
  file.attribute(group, "symmetry_defect", s.symmetry_defect);
  file.attribute(group, "norm_estimate", s.norm_estimate);
}

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
    add_solve(file, group, *result.spectrum);
    file.attribute(group, "operator", std::string(name_of(origin.config.spectrum->curvature)));
    add_summary(file, comm, group, result.summary);
  }
  for (const LayerDuality& layer : result.dualities)
    add_duality(file, comm,
                {origin.config, result.losses, result.spectrum->values, result.spectrum->complete()}, layer);
  file.commit(durability, true);
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
  add_solve(file, "spectrum/" + block, spectrum);
  file.commit(Durability::flushed, true);
}

spectrum::Spectrum read_spectrum(const Comm& comm, const std::filesystem::path& path,
                                 const std::string& block) {
  const std::string group = "spectrum/" + block;
  spectrum::Spectrum s;
  std::string which;
  std::optional<h5::InputFile> opened;
  on_root(comm, [&] {
    const h5::InputFile& file = opened.emplace(path);
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
    s.single_matvecs = file.attribute_integer(group, "matvecs_single");
    s.check_matvecs = file.attribute_integer(group, "check_matvecs");
    s.second_matvecs = file.attribute_integer(group, "second_matvecs");
    if (file.has_attribute(group, "samples_pruned"))
      s.pruning = {.samples = file.attribute_integer(group, "samples_pruned"),
                   .bound = file.attribute_real(group, "prune_bound"),
                   .matvecs = file.attribute_integer(group, "matvecs_pruned")};
    s.cluster_cut = file.attribute_integer(group, "cluster_cut") != 0;
    if (file.has_attribute(group, "rest_below")) s.rest_below = file.attribute_real(group, "rest_below");
    if (file.has_attribute(group, "rest_above")) s.rest_above = file.attribute_real(group, "rest_above");
    if (file.has_attribute(group, "matrix_distance"))
      s.matrix_distance = {.bound = file.attribute_real(group, "matrix_distance"),
                           .probes = file.attribute_integer(group, "matrix_probes")};
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
  for (auto* count :
       {&s.size, &s.requested, &s.matvecs, &s.single_matvecs, &s.check_matvecs, &s.second_matvecs, &s.upper})
    *count = comm.broadcast_value(*count);
  for (auto* value : {&s.seconds, &s.orthogonality_defect, &s.symmetry_defect, &s.norm_estimate})
    *value = comm.broadcast_value(*value);
  for (auto* bytes : {&s.planned_bytes, &s.peak_bytes}) *bytes = comm.broadcast_value(*bytes);
  s.cluster_cut = comm.broadcast_value(s.cluster_cut);
  for (auto* rest : {&s.rest_below, &s.rest_above}) *rest = comm.broadcast_value(*rest);
  s.pruning = comm.broadcast_value(s.pruning);
  s.matrix_distance = comm.broadcast_value(s.matrix_distance);
  s.which = parse_choice<Which>(which).value_or(Which::largest);
  s.vectors = scattered(comm, opened ? &*opened : nullptr, group + "/eigenvectors",
                        Partition(s.size, comm.size()), s.converged());
  return s;
}

}  // namespace dualscape::study
