#include "dualscape/data/shard.hpp"

#include <memory>
#include <numeric>

namespace dualscape::data {

template <class Real>
Samples<Real> make_samples(const Comm& comm, const SampleSet& set, std::span<const Index> positions,
                           const Lanes& lanes, double scale) {
  const Index first = lanes.first_sample(comm.rank(), comm.size());
  const Index end = lanes.first_sample(comm.rank() + 1, comm.size());
  const auto own = positions.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(end - first));
  const auto rows = std::make_shared<const Rows>(set.rows.fetch(comm, own));
  Samples<Real> samples;
  samples.lanes = lanes;
  for (Index position : own) samples.labels.push_back(set.label[static_cast<std::size_t>(position)]);
  samples.inputs = [rows, scale](Index begin, MatrixView<Real> out) {
    rows->copy_scaled(begin, out.rows, out, scale);
  };
  return samples;
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

}  // namespace dualscape::data
