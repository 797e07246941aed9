#include "dualscape/data/shard.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

namespace dualscape::data {

template <class Real>
Samples<Real> make_samples(const Comm& comm, const SampleSet& set, std::span<const Index> positions,
                           const Lanes& lanes, double scale) {
  const Index first = lanes.first_sample(comm.rank(), comm.size());
  const Index end = lanes.first_sample(comm.rank() + 1, comm.size());
  const auto own = positions.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(end - first));
  const auto rows = std::make_shared<const ScaledInputs<Real>>(set.rows.fetch(comm, own), scale);
  Samples<Real> samples;
  samples.lanes = lanes;
  for (Index position : own) samples.labels.push_back(set.label[static_cast<std::size_t>(position)]);
  samples.inputs = [rows](Index begin, MatrixView<Real> out) { rows->copy(begin, out); };
  return samples;
}

template <class Real>
ScaledInputs<Real>::ScaledInputs(Rows rows, double scale) : rows_(std::move(rows)), scale_(scale) {
  const Index bytes = rows_.count() * rows_.features() * static_cast<Index>(sizeof(Real));
  if (bytes > keep_bytes) return;
  kept_ = Matrix<Real>(rows_.count(), rows_.features());
  rows_.copy_scaled(0, rows_.count(), kept_.view(), scale_);
  rows_ = Rows(rows_.count(), 0, rows_.element());
}

template <class Real>
void ScaledInputs<Real>::copy(Index first, MatrixView<Real> out) const {
  if (kept_.rows() == 0) return rows_.copy_scaled(first, out.rows, out, scale_);
  for (Index i = 0; i < out.rows; ++i) std::ranges::copy(kept_.row(first + i), out.row(i).begin());
}

template <class Real>
void ScaledInputs<Real>::copy(std::span<const Index> positions, MatrixView<Real> out) const {
  if (kept_.rows() == 0) return rows_.copy_scaled(positions, out, scale_);
  for (Index i = 0; i < out.rows; ++i)
    std::ranges::copy(kept_.row(positions[static_cast<std::size_t>(i)]), out.row(i).begin());
}

std::vector<Index> all_positions(Index count) {
  std::vector<Index> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), Index{0});
  return positions;
}

std::vector<Index> correct_positions(const SampleSet& set) {
  std::vector<Index> positions;
  for (Index i = 0; i < set.count(); ++i)
    if (set.label_correct(i)) positions.push_back(i);
  return positions;
}

template Samples<double> make_samples<double>(const Comm&, const SampleSet&, std::span<const Index>,
                                              const Lanes&, double);
template Samples<float> make_samples<float>(const Comm&, const SampleSet&, std::span<const Index>,
                                            const Lanes&, double);
template class ScaledInputs<double>;
template class ScaledInputs<float>;

}  // namespace dualscape::data
