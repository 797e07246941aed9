#pragma once

#include "dualscape/data/shard.hpp"
#include "dualscape/deck/config.hpp"

/// The samples of an analysis.
namespace dualscape::study {

inline Lanes lanes_for(Index samples, const deck::Numerics& numerics) {
  return Lanes(samples, numerics.lanes > 0 ? numerics.lanes : Lanes::automatic(samples));
}

/// Whether eigenpairs are solved for by products in single precision. A complete spectrum is in double
/// always: a matrix made in single would leave its rounding in the bounds of every pair.
inline bool solves_in_single(const deck::Config& config) {
  return config.numerics.precision != Precision::double_ && config.spectrum->which != Which::all;
}

/// The samples an analysis counts: with label noise, the correctly labelled ones.
template <class Real>
Samples<Real> analysed(const Comm& comm, const data::SampleSet& set, const deck::Config& config) {
  const auto positions = data::correct_positions(set);
  return data::make_samples<Real>(comm, set, positions, lanes_for(std::ssize(positions), config.numerics),
                                  config.data.scale);
}

}  // namespace dualscape::study
