#include "dualscape/study/curvature_summary.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "dualscape/base/error.hpp"
#include "dualscape/base/progress.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/operators/jacobian.hpp"
#include "groups.hpp"
#include "samples.hpp"

namespace dualscape::study {
namespace {

std::string with_error(const spectrum::Estimate& estimate) {
  return estimate.error > 0 ? fmt::format("{:.6g} +- {:.2g}", estimate.value, estimate.error)
                            : fmt::format("{:.6g}", estimate.value);
}

/// Probes of a density that advance together: as many as a block product gains from. An interrupted run loses
/// no more of them.
constexpr Index probes_together = 16;

/// Hears of products and shows them.
class ProductBar {
 public:
  ProductBar(Log& log, const std::string& label, Index total)
      : progress_(log, label, "products", static_cast<double>(total)) {}
  void operator()(Index made) { progress_.update(static_cast<double>(made)); }

 private:
  Progress progress_;
};

template <class Real>
class Summariser {
 public:
  Summariser(const nn::Linearisation<Real>& linearisation, const spectrum::Spectrum& pairs,
             const deck::Config& config, Log& log)
      : linearisation_(linearisation),
        known_{.vectors = pairs.vectors.view(), .values = pairs.values, .residuals = pairs.residuals},
        asked_(*config.spectrum),
        seed_(config.seed),
        log_(log),
        block_(operators::select_block(linearisation.network(), asked_.block)),
        curvature_(operators::make_curvature<Real>(asked_.curvature, linearisation, block_)) {}

  void find_density(CurvatureSummary& summary, const SummaryStore& store) const {
    const Index steps = std::min(asked_.density_steps, block_.size - known_.vectors.rows);
    ProductBar bar(log_, "density", asked_.density_probes * steps);
    summary.density_width = asked_.density_width;
    const auto keep = [&](const spectrum::Quadratures& so_far) {
      summary.quadratures = so_far;
      store.keep(summary);
    };
    const auto& found = summary.density.emplace(spectrum::estimate_density(
        *curvature_, {.probes = asked_.density_probes,
                      .steps = asked_.density_steps,
                      .width = asked_.density_width,
                      .seed = seed_,
                      .rounding = std::numeric_limits<Real>::epsilon(),
                      .together = probes_together,
                      .known = known_,
                      .from = summary.quadratures.value_or(spectrum::Quadratures{}),
                      .on_probes = keep,
                      .monitor = [&](Index made) { bar(made); }}));
    log_.info("density of {}: {} pairs, {} probes, {} products; trace {}, |H|_F {}", name(), found.pairs,
              asked_.density_probes, found.quadratures.matvecs, with_error(found.trace),
              with_error(found.frobenius));
  }

  void find_trace(CurvatureSummary& summary) const {
    ProductBar bar(log_, "trace", std::min(asked_.trace_products, block_.size));
    const auto& found = summary.trace.emplace(spectrum::estimate_trace(
        *curvature_,
        {.products = asked_.trace_products, .seed = seed_, .known = known_, .monitor = [&](Index made) {
           bar(made);
         }}));
    log_.info("trace of {}: {}, |H|_F {}; {} products", name(), with_error(found.trace),
              with_error(found.frobenius), found.matvecs);
  }

  void find_diagonal(CurvatureSummary& summary) const {
    ProductBar bar(log_, "diagonal", std::min(asked_.diagonal_products, block_.size));
    const auto& found = summary.diagonal.emplace(spectrum::estimate_diagonal(
        *curvature_,
        {.products = asked_.diagonal_products, .seed = seed_, .monitor = [&](Index made) { bar(made); }}));
    log_.info("diagonal of {}: {}, {} products", name(), found.exact ? "exact" : "estimated", found.matvecs);
  }

  void find_ntk(CurvatureSummary& summary) const {
    const operators::Jacobian<Real> jacobian(linearisation_, block_);
    Progress progress(log_, "tangent kernel", "products", 0);
    const auto& found = summary.ntk.emplace(spectrum::compute_singular(
        jacobian, {.count = asked_.ntk,
                   .tolerance = asked_.tolerance,
                   .seed = seed_,
                   .rounding = std::numeric_limits<Real>::epsilon(),
                   .monitor = [&](Index products, Index converged) {
                     progress.update(static_cast<double>(products), fmt::format("{} converged", converged));
                   }}));
    log_.info("tangent kernel of {}: {} of {} eigenvalues, {} products, {:.2f} s", name(), found.converged(),
              found.requested, found.matvecs, found.seconds);
  }

 private:
  std::string name() const { return operators::block_name(asked_.block); }

  const nn::Linearisation<Real>& linearisation_;
  spectrum::KnownPairs known_;
  const deck::Spectrum& asked_;
  std::uint64_t seed_;
  Log& log_;
  nn::BlockLayout block_;
  std::unique_ptr<LinearOperator> curvature_;
};

template <class Real>
CurvatureSummary summarise(const Comm& comm, const nn::Network& network,
                           const std::vector<double>& parameters, const spectrum::Spectrum& pairs,
                           const data::Dataset& data, const deck::Config& config, Log& log,
                           SummaryStore store) {
  const nn::Linearisation<Real> linearisation(comm, network, parameters,
                                              analysed<Real>(comm, data.train, config),
                                              {.cache_bytes = config.numerics.cache});
  const Summariser<Real> summariser(linearisation, pairs, config, log);
  const deck::Spectrum& asked = *config.spectrum;
  CurvatureSummary summary = std::move(store.from);
  const auto find = [&](Index wanted, bool found, auto&& search) {
    if (wanted == 0 || found) return;
    search();
    store.keep(summary);
  };
  if (asked.density_probes > 0) summariser.find_density(summary, store);
  find(asked.trace_products, summary.trace.has_value(), [&] { summariser.find_trace(summary); });
  find(asked.diagonal_products, summary.diagonal.has_value(), [&] { summariser.find_diagonal(summary); });
  find(asked.ntk, summary.ntk.has_value(), [&] { summariser.find_ntk(summary); });
  return summary;
}

void add_estimates(h5::OutputFile& file, const std::string& group, const spectrum::Estimate& trace,
                   const spectrum::Estimate& frobenius) {
  file.attribute(group, "trace", trace.value);
  file.attribute(group, "trace_error", trace.error);
  file.attribute(group, "frobenius", frobenius.value);
  file.attribute(group, "frobenius_error", frobenius.error);
}

void add_quadratures(h5::OutputFile& file, const std::string& group, const spectrum::Quadratures& made) {
  const std::vector<Index> shape = {made.nodes.rows(), made.nodes.cols()};
  file.add(group + "/nodes", made.nodes.entries(), shape);
  file.add(group + "/weights", made.weights.entries(), shape);
  file.attribute(group, "matvecs", made.matvecs);
}

void add_density(h5::OutputFile& file, const std::string& group, const spectrum::Density& found,
                 double width) {
  add_list(file, group + "/grid", found.grid);
  add_list(file, group + "/density", found.density);
  add_list(file, group + "/error", found.error);
  add_quadratures(file, group, found.quadratures);
  add_estimates(file, group, found.trace, found.frobenius);
  file.attribute(group, "width", width);
  file.attribute(group, "linear_scale", found.linear_scale);
  file.attribute(group, "pairs", found.pairs);
}

void add_diagonal(h5::OutputFile& file, const Comm& comm, const std::string& group,
                  const spectrum::Diagonal& found) {
  const Partition partition(comm.sum(std::ssize(found.values)), comm.size());
  const auto add = [&](const std::string& name, const std::vector<double>& part) {
    Matrix<double> whole(1, partition.size());
    gather_all(comm, partition, {part.data(), 1, std::ssize(part)}, whole.view());
    add_list(file, group + "/" + name, whole.entries());
  };
  add("diagonal", found.values);
  add("diagonal_error", found.errors);
  file.attribute(group, "diagonal_exact", found.exact);
  file.attribute(group, "diagonal_matvecs", found.matvecs);
}

/// The kernel's eigenvalues are the squares of the Jacobian's singular values.
void add_ntk(h5::OutputFile& file, const std::string& group, const spectrum::Singular& found) {
  std::vector<double> eigenvalues, bounds;
  for (std::size_t n = 0; n < found.values.size(); ++n) {
    const double s = found.values[n], bound = found.value_bounds[n];
    eigenvalues.push_back(s * s);
    bounds.push_back((2 * s + bound) * bound);
  }
  add_list(file, group + "/eigenvalues", eigenvalues);
  add_list(file, group + "/value_bounds", bounds);
  add_list(file, group + "/singular_values", found.values);
  add_list(file, group + "/singular_value_bounds", found.value_bounds);
  add_list(file, group + "/right_residuals", found.right_residuals);
  add_list(file, group + "/left_residuals", found.left_residuals);
  file.attribute(group, "requested", found.requested);
  file.attribute(group, "converged", found.converged());
  file.attribute(group, "reason", found.reason);
  file.attribute(group, "matvecs", found.matvecs);
  file.attribute(group, "check_matvecs", found.check_matvecs);
  file.attribute(group, "seconds", found.seconds);
}

/// All but the density.
void add_rest(h5::OutputFile& file, const Comm& comm, const std::string& group,
              const CurvatureSummary& summary) {
  if (summary.trace) {
    add_estimates(file, group, summary.trace->trace, summary.trace->frobenius);
    file.attribute(group, "trace_matvecs", summary.trace->matvecs);
  }
  if (summary.diagonal) add_diagonal(file, comm, group, *summary.diagonal);
  if (summary.ntk) add_ntk(file, group + "/ntk", *summary.ntk);
}

}  // namespace

void check_summary(const nn::Network& network, const data::Dataset& data, const deck::Config& config) {
  if (!config.spectrum || config.spectrum->ntk == 0) return;
  const Index parameters = operators::select_block(network, config.spectrum->block).size;
  const Index samples = std::ssize(data::correct_positions(data.train));
  const Index logits = samples * network.outputs();
  if (config.spectrum->ntk > std::min(logits, parameters))
    throw UsageError(fmt::format(
        "spectrum.ntk = {} is more eigenvalues than the tangent kernel has that are not zero: at most the "
        "smaller of {} logits ({} samples x {} classes) and the block's {} parameters",
        config.spectrum->ntk, logits, samples, network.outputs(), parameters));
}

bool wants_summary(const deck::Config& config) {
  if (!config.spectrum) return false;
  const deck::Spectrum& asked = *config.spectrum;
  return asked.density_probes + asked.trace_products + asked.diagonal_products + asked.ntk > 0;
}

CurvatureSummary summarise_curvature(const Comm& comm, const nn::Network& network,
                                     const std::vector<double>& parameters, const spectrum::Spectrum& pairs,
                                     const data::Dataset& data, const deck::Config& config, Log& log,
                                     SummaryStore store) {
  if (!wants_summary(config)) return {};
  return config.numerics.precision == Precision::single
             ? summarise<float>(comm, network, parameters, pairs, data, config, log, std::move(store))
             : summarise<double>(comm, network, parameters, pairs, data, config, log, std::move(store));
}

void add_summary(h5::OutputFile& file, const Comm& comm, const std::string& group,
                 const CurvatureSummary& summary) {
  if (summary.density) add_density(file, group + "/density", *summary.density, summary.density_width);
  add_rest(file, comm, group, summary);
}

void add_finished(h5::OutputFile& file, const Comm& comm, const std::string& group,
                  const CurvatureSummary& summary) {
  if (summary.quadratures) {
    add_quadratures(file, group + "/density", *summary.quadratures);
    file.attribute(group + "/density", "probes", summary.quadratures->probes);
  }
  CurvatureSummary rest{.trace = summary.trace, .diagonal = summary.diagonal};
  if (summary.ntk && summary.ntk->as_asked()) rest.ntk = summary.ntk;
  add_rest(file, comm, group, rest);
}

void require_complete(const CurvatureSummary& summary) {
  if (!summary.ntk || summary.ntk->as_asked()) return;
  throw ComputationError(
      fmt::format("only {} of {} eigenvalues of the tangent kernel converged ({}); what was found is in the "
                  "result",
                  summary.ntk->converged(), summary.ntk->requested, summary.ntk->reason));
}

}  // namespace dualscape::study
