#include "info.hpp"

#include <fmt/format.h>

#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"

namespace {

using dualscape::Index;
using dualscape::h5::InputFile;
namespace format = dualscape::h5::format;

std::string heading(const InputFile& file) {
  std::string text = fmt::format("{}\n  {}\n", file.path().string(), file.attribute_text("/", "title"));
  const Index ranks = file.attribute_integer("/", "ranks");
  text += fmt::format(
      "  written {} by dualscape {} ({:.12}{}) on {}, {} rank{}, seed {}\n", file.attribute_text("/", "date"),
      file.attribute_text("/", "code_version"), file.attribute_text("/", "git_commit"),
      file.attribute_integer("/", "git_dirty") != 0 ? ", with changes" : "", file.attribute_text("/", "host"),
      ranks, ranks == 1 ? "" : "s", file.attribute_integer("/", "seed"));
  return text;
}

std::string network(const InputFile& file) {
  std::string layers;
  for (const std::string& layer : file.children("model")) {
    const auto shape = file.shape("model/" + layer + "/weight");
    layers += fmt::format("{}{} {} x {}{}", layers.empty() ? "" : ", ", layer, shape[0], shape[1],
                          file.exists("model/" + layer + "/bias") ? " + bias" : "");
  }
  if (file.exists("training/epoch"))
    layers += fmt::format("; trained for {} epochs", file.read_integers("training/epoch").back());
  return "network: " + layers + "\n";
}

std::string losses(const InputFile& file) {
  const auto value = [&](const char* name) { return file.attribute_real("loss", name); };
  return fmt::format("losses: training {:.6g} (accuracy {:.4f}), test {:.6g} (accuracy {:.4f}), gap {:.6g}\n",
                     value("train_loss"), value("train_accuracy"), value("test_loss"), value("test_accuracy"),
                     value("gap"));
}

/// What else is known of a block's curvature.
std::string estimates(const InputFile& file, const std::string& group) {
  std::string text;
  for (const auto& [holder, how] : {std::pair{group, "Hutch++"}, {group + "/density", "density"}}) {
    if (!file.exists(holder) || !file.has_attribute(holder, "trace")) continue;
    const auto value = [&, &at = holder](const char* name) { return file.attribute_real(at, name); };
    text += fmt::format("  trace {:.6g} +- {:.1e}, |H|_F {:.6g} +- {:.1e} ({})\n", value("trace"),
                        value("trace_error"), value("frobenius"), value("frobenius_error"), how);
  }
  if (file.exists(group + "/ntk"))
    if (const auto kernel = file.read_doubles(group + "/ntk/eigenvalues"); !kernel.empty())
      text += fmt::format("  tangent kernel: {} eigenvalues from {:.6g} to {:.6g}\n", kernel.size(),
                          kernel.front(), kernel.back());
  return text;
}

std::string spectrum(const InputFile& file, const std::string& block) {
  const std::string group = "spectrum/" + block;
  const auto values = file.read_doubles(group + "/eigenvalues");
  const auto residuals = file.read_doubles(group + "/residuals");
  std::string text =
      fmt::format("spectrum of {}: {}, {} of {} eigenpairs ({}), {} products, {:.2f} s\n", block,
                  file.attribute_text(group, "operator"), file.attribute_integer(group, "converged"),
                  file.attribute_integer(group, "requested"), file.attribute_text(group, "which"),
                  file.attribute_integer(group, "matvecs"), file.attribute_real(group, "seconds"));
  if (values.empty()) return text + estimates(file, group);
  double worst = 0;
  for (double residual : residuals) worst = std::max(worst, residual);
  const double scale = file.attribute_real(group, "norm_estimate");
  return text +
         fmt::format("  from {:.6g} to {:.6g}; worst residual {:.1e} |H|, orthogonality defect {:.1e}\n",
                     values.front(), values.back(), scale > 0 ? worst / scale : 0.0,
                     file.attribute_real(group, "orthogonality_defect")) +
         estimates(file, group);
}

/// The verdict on one layer: what carries the gap, and how sure that is.
class Verdict {
 public:
  Verdict(const InputFile& file, const std::string& layer)
      : file_(file), layer_(layer), group_("duality/" + layer) {}

  std::string text() const {
    return pairs() + row("test - training loss", "real_gap", "", "") +
           row("matched pairs", "matched_gap", "matched_gap", "") +
           row("over the directions", "total_contribution", "total", "total_bound") +
           row("  the sharp ones", "sharp_contribution", "sharp", "sharp_bound") +
           row("  flat, complement too", "flat_contribution", "flat", "sharp_bound") +
           row("complement", "complement_contribution", "complement", "total_bound") + determinants() +
           size() + expansion() + exactness();
  }

 private:
  double real(const char* name) const { return file_.attribute_real(group_, name); }
  Index integer(const char* name) const { return file_.attribute_integer(group_, name); }
  std::string said(const char* name) const { return file_.attribute_text(group_, name); }

  std::string pairs() const {
    return fmt::format(
        "gap through the {} duals of {}: {} pairs ({}, anchor {}), {} with a zero dual, {} dropped\n",
        said("dual"), layer_, integer("kept_pairs"), said("pairing"), said("anchor"), integer("zero_duals"),
        integer("dropped_pairs"));
  }

  /// Value, share of the matched gap, interval over the pairs, bound that the eigenpairs leave.
  std::string row(const char* label, const char* name, const std::string& interval, const char* bound) const {
    const double matched = real("matched_gap");
    std::string line = fmt::format("  {:<22} {:>12.6g}   {:>6.1f} %", label, real(name),
                                   matched != 0 ? 100 * real(name) / matched : 0.0);
    const std::string path = group_ + "/intervals/" + interval;
    if (!interval.empty() && file_.exists(path)) {
      const auto ends = file_.read_doubles(path);
      line += fmt::format("   [{:.4g}, {:.4g}]", ends[0], ends[1]);
    }
    if (*bound != 0) line += fmt::format("   +- {:.1e}", real(bound));
    return line + "\n";
  }

  std::string determinants() const {
    return fmt::format(
        "  sharp part: {} directions by {}{}{}; sharpness sigma_g {:.4g} of {:.4g}, size sigma_w {:.4g} of "
        "{:.4g}\n",
        integer("sharp"), said("sharp_by"), integer("sharp_certified") != 0 ? ", certified" : "",
        integer("sharp_cuts_cluster") != 0 ? ", cutting a cluster" : "", real("sharp_sigma_g"),
        real("whole_sigma_g"), real("sharp_sigma_w"), real("whole_sigma_w"));
  }

  std::string size() const {
    return fmt::format("  size: |W| = {:.4g}, rms |DW| = {:.4g}\n", real("weight_norm"),
                       real("activity_weighted_norm"));
  }

  std::string expansion() const {
    return fmt::format("  expansion: first order {:.4g}, second {:.4g}, mean field {:.4g}\n",
                       real("gradient_term"), real("curvature_term"), real("mean_field"));
  }

  std::string exactness() const {
    return fmt::format(
        "  duality exact to {:.1e} (worst at pair {}); accounts close to {:.1e}; worst bound {:.1e} of a "
        "cluster, {:.1e} of a direction\n",
        real("exactness"), integer("exactness_pair"), real("identity_accounts"), real("worst_bound"),
        real("worst_direction_bound"));
  }

  const InputFile& file_;
  std::string layer_;
  std::string group_;
};

}  // namespace

std::string info_text(const std::filesystem::path& path) {
  const InputFile file(path);
  file.expect_filetype(format::result_filetype, format::version[0]);
  std::string text = heading(file) + network(file) + losses(file);
  if (file.exists("spectrum"))
    for (const std::string& block : file.children("spectrum")) text += spectrum(file, block);
  if (file.exists("duality"))
    for (const std::string& layer : file.children("duality")) text += Verdict(file, layer).text();
  return text;
}
