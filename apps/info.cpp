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
  std::string text = "network\n";
  for (const std::string& layer : file.children("model")) {
    const auto shape = file.shape("model/" + layer + "/weight");
    text += fmt::format("  {:<10} {} x {}{}\n", layer, shape[0], shape[1],
                        file.exists("model/" + layer + "/bias") ? " + bias" : "");
  }
  if (file.exists("training/epoch"))
    text += fmt::format("  trained for {} epochs\n", file.read_integers("training/epoch").back());
  return text;
}

std::string losses(const InputFile& file) {
  const auto value = [&](const char* name) { return file.attribute_real("loss", name); };
  return fmt::format(
      "losses\n  training   {:<12.6g} accuracy {:.4f}\n  test       {:<12.6g} accuracy {:.4f}\n  gap        "
      "{:.6g}\n",
      value("train_loss"), value("train_accuracy"), value("test_loss"), value("test_accuracy"), value("gap"));
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

std::string duality(const InputFile& file, const std::string& layer) {
  const std::string group = "duality/" + layer;
  const auto value = [&](const char* name) { return file.attribute_real(group, name); };
  const auto share = [&](const char* label, const char* name) {
    const double matched = value("matched_gap");
    return fmt::format("  {:<22} {:>12.6g}   {:>6.1f} %\n", label, value(name),
                       matched != 0 ? 100 * value(name) / matched : 0.0);
  };
  std::string text = fmt::format(
      "gap through the duality at {}: {} pairs ({}, anchor {}), {} with a zero dual, {} dropped\n", layer,
      file.attribute_integer(group, "kept_pairs"), file.attribute_text(group, "pairing"),
      file.attribute_text(group, "anchor"), file.attribute_integer(group, "zero_duals"),
      file.attribute_integer(group, "dropped_pairs"));
  text +=
      share("test - training loss", "real_gap") + share("matched pairs", "matched_gap") +
      share("over the directions", "total_contribution") + share("  the sharp ones", "sharp_contribution") +
      share("  flat, complement too", "flat_contribution") + share("complement", "complement_contribution");
  text += fmt::format(
      "  accounts close to {:.1e}, duality exact to {:.1e}; |W| = {:.4g}, rms |DW| = {:.4g}\n",
      value("identity_accounts"), value("exactness"), value("weight_norm"), value("activity_weighted_norm"));
  return text;
}

}  // namespace

std::string info_text(const std::filesystem::path& path) {
  const InputFile file(path);
  file.expect_filetype(format::result_filetype, format::version[0]);
  std::string text = heading(file) + network(file) + losses(file);
  if (file.exists("spectrum"))
    for (const std::string& block : file.children("spectrum")) text += spectrum(file, block);
  if (file.exists("duality"))
    for (const std::string& layer : file.children("duality")) text += duality(file, layer);
  return text;
}
