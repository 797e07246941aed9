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

/// Inputs as a network takes them, read again and again: kept converted while they are small, converted at
/// each reading otherwise. Double or float.
template <class Real>
class ScaledInputs {
 public:
  /// Converted rows beyond this many bytes are not kept.
  static constexpr Index keep_bytes = Index{256} << 20;

  ScaledInputs(Rows rows, double scale);

  Index count() const { return rows_.count(); }
  /// Rows [first, first + out.rows).
  void copy(Index first, MatrixView<Real> out) const;
  /// The rows at `positions`, in that order.
  void copy(std::span<const Index> positions, MatrixView<Real> out) const;

 private:
  Rows rows_;
  double scale_;
  Matrix<Real> kept_;  ///< empty when too large
};

/// 0, 1, ..., count - 1.
std::vector<Index> all_positions(Index count);

/// Positions of the samples that carry the source's label: those an analysis counts.
std::vector<Index> correct_positions(const SampleSet& set);

}  // namespace dualscape::data
