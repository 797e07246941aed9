#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/h5/output.hpp"
#include "dualscape/nn/network.hpp"
#include "dualscape/spectrum/density.hpp"
#include "dualscape/spectrum/singular.hpp"
#include "dualscape/spectrum/spectrum.hpp"
#include "dualscape/spectrum/trace.hpp"

/// What a deck asks about a block's curvature beside its eigenpairs, each on its own: density of the
/// eigenvalues, trace and norm, diagonal, spectrum of the neural tangent kernel.
namespace dualscape::study {

struct CurvatureSummary {
  std::optional<spectrum::Quadratures> quadratures;  ///< of a density, finished or under way
  std::optional<spectrum::Density> density;
  double density_width = 0.0;
  std::optional<spectrum::Trace> trace;
  std::optional<spectrum::Diagonal> diagonal;
  std::optional<spectrum::Singular> ntk;
};

/// Throws UsageError when the deck asks for more eigenvalues of the neural tangent kernel than it has that
/// are not zero: the smaller of logits (samples x classes) and parameters.
void check_summary(const nn::Network& network, const data::Dataset& data, const deck::Config& config);

/// Whether a deck asks for any of it.
bool wants_summary(const deck::Config& config);

/// What an earlier run left, and where this one leaves what it has finished.
struct SummaryStore {
  CurvatureSummary from;
  /// Hears of every finished quantity, and of every few finished probes of the density. @note Collective
  std::function<void(const CurvatureSummary& so_far)> keep;
};

/// Nothing for a deck that asks for nothing. `pairs`: of the same operator, counted apart in density and
/// trace. @note Collective
CurvatureSummary summarise_curvature(const Comm& comm, const nn::Network& network,
                                     const std::vector<double>& parameters, const spectrum::Spectrum& pairs,
                                     const data::Dataset& data, const deck::Config& config, Log& log,
                                     SummaryStore store);

/// Adds it to the group of the block's spectrum, "spectrum/dense2". @note Collective
void add_summary(h5::OutputFile& file, const Comm& comm, const std::string& group,
                 const CurvatureSummary& summary);

/// Adds to a checkpoint's group what is finished, from which the rest can be gone on with: a density by its
/// quadratures alone, a kernel only when complete. @note Collective
void add_finished(h5::OutputFile& file, const Comm& comm, const std::string& group,
                  const CurvatureSummary& summary);

/// Throws ComputationError when fewer eigenvalues of the kernel converged than asked. Call it once the result
/// is written.
void require_complete(const CurvatureSummary& summary);

}  // namespace dualscape::study
