#pragma once

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
  std::optional<spectrum::Density> density;
  double density_width = 0.0;
  std::optional<spectrum::Trace> trace;
  std::optional<spectrum::Diagonal> diagonal;
  std::optional<spectrum::Singular> ntk;
};

/// Throws UsageError when the deck asks for more eigenvalues of the neural tangent kernel than it has that
/// are not zero: the smaller of logits (samples x classes) and parameters.
void check_summary(const nn::Network& network, const data::Dataset& data, const deck::Config& config);

/// Nothing for a deck that asks for nothing. `pairs`: of the same operator, counted apart in density and
/// trace. @note Collective
CurvatureSummary summarise_curvature(const Comm& comm, const nn::Network& network,
                                     const std::vector<double>& parameters, const spectrum::Spectrum& pairs,
                                     const data::Dataset& data, const deck::Config& config, Log& log);

/// Adds it to the group of the block's spectrum, "spectrum/dense2". @note Collective
void add_summary(h5::OutputFile& file, const Comm& comm, const std::string& group,
                 const CurvatureSummary& summary);

/// Throws ComputationError when fewer eigenvalues of the kernel converged than asked. Call it once the result
/// is written.
void require_complete(const CurvatureSummary& summary);

}  // namespace dualscape::study
