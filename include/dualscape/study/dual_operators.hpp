#pragma once

#include <vector>

#include "dualscape/deck/config.hpp"
#include "dualscape/duality/decomposition.hpp"
#include "dualscape/duality/weight_space.hpp"
#include "dualscape/spectrum/spectrum.hpp"

/// The operators a deck asks for on the weight space of one layer, made of its dual weights.
namespace dualscape::study {

/// Extreme eigenpairs of an operator on a layer's weight, and how it lies to the curvature.
struct OperatorSpectrum {
  DualOperator kind = DualOperator::gap;
  spectrum::Spectrum spectrum;   ///< vectors are those of the layer's weight alone
  duality::Alignment alignment;  ///< with the curvature, over the computed directions
};

/// One entry for each of duality.operators: the largest eigenvalues, of the gap operator the smallest too;
/// all of them where that is not many fewer than there are. @note Collective
std::vector<OperatorSpectrum> find_operator_spectra(const Comm& comm, const duality::Duals& duals,
                                                    const duality::Directions& directions,
                                                    const deck::Config& config);

}  // namespace dualscape::study
