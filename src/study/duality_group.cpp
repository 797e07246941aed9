#include "dualscape/study/duality_group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "dualscape/base/error.hpp"
#include "dualscape/h5/copy.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "groups.hpp"

namespace dualscape::study {
namespace {

namespace format = h5::format;

std::string group_of(const std::string& layer) {
  return "duality/" + layer;
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

}  // namespace

void add_duality(h5::OutputFile& file, const Comm& comm, const DualitySetting& setting,
                 const LayerDuality& layer) {
  const auto& [config, losses, eigenvalues, complete] = setting;
  const deck::Duality& asked = *config.duality;
  const duality::Decomposition& d = layer.decomposition;
  const std::string group = group_of(layer.layer);
  if (!layer.stored.empty()) return h5::copy_group(comm, layer.stored, group, file);
  add_directions(file, group + "/directions", eigenvalues, d.directions);
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
  file.attribute(group, "real_gap", losses.gap());
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
  add_identities(file, group, d, complete);
  if (asked.anchor == Anchor::test && d.dropped_pairs == 0) {
    const double defect = d.matched_gap - losses.gap() - (losses.train.loss - d.partner_loss);
    file.attribute(group, "identity_real_gap",
                   d.mean_abs_loss_gap > 0 ? std::abs(defect) / d.mean_abs_loss_gap : 0.0);
  }
}

void write_duality(const Comm& comm, const std::filesystem::path& path, const DualitySetting& setting,
                   const LayerDuality& layer, const std::string& fingerprint) {
  h5::OutputFile file(comm, path, format::checkpoint_filetype);
  file.attribute("/", "fingerprint", fingerprint);
  add_duality(file, comm, setting, layer);
  file.commit(Durability::flushed, true);
}

std::optional<LayerDuality> read_duality(const Comm& comm, const std::filesystem::path& path,
                                         const DualitySetting& setting, const std::string& layer) {
  const std::string group = group_of(layer);
  LayerDuality found;
  found.layer = layer;
  found.stored = path;
  duality::Decomposition& d = found.decomposition;
  bool same_directions = false;
  on_root(comm, [&] {
    const h5::InputFile file(path);
    file.expect_filetype(format::checkpoint_filetype, format::version[0]);
    same_directions = file.read_doubles(group + "/directions/eigenvalue") == setting.eigenvalues;
    const auto test = file.read_integers(group + "/pairs/test_index");
    const auto train = file.read_integers(group + "/pairs/train_index");
    const auto distance = file.read_doubles(group + "/pairs/distance");
    for (std::size_t k = 0; k < test.size(); ++k) found.pairs.push_back({test[k], train[k], distance[k]});
    d.matched_gap = file.attribute_real(group, "matched_gap");
    d.total.whole = file.attribute_real(group, "total_contribution");
    d.complement.whole = file.attribute_real(group, "complement_contribution");
    d.unresolved = file.attribute_real(group, "unresolved");
  });
  if (!comm.broadcast_value(same_directions)) return std::nullopt;
  comm.broadcast(found.pairs);
  for (double* value : {&d.matched_gap, &d.total.whole, &d.complement.whole, &d.unresolved})
    *value = comm.broadcast_value(*value);
  return found;
}

}  // namespace dualscape::study
