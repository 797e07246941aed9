#pragma once

#include <span>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/base/samples.hpp"
#include "dualscape/data/dataset.hpp"

namespace dualscape::data {

/// The samples at `positions` of a set, in lanes over the ranks, as a network sees them: `lanes` is of as
/// many samples as there are positions, and integer inputs are divided by `scale`. Double or float. @note
/// Collective
template <class Real>
Samples<Real> make_samples(const Comm& comm, const SampleSet& set, std::span<const Index> positions,
                           const Lanes& lanes, double scale);

/// 0, 1, ..., count - 1.
std::vector<Index> all_positions(Index count);

/// Positions of the samples that carry the source's label: those an analysis counts.
std::vector<Index> correct_positions(const SampleSet& set);

}  // namespace dualscape::data
