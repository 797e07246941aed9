#include <algorithm>
#include <cmath>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/random.hpp"
#include "parts.hpp"
#include "projection.hpp"

namespace dualscape::duality {
namespace {

/// Pairs the curvature identity is tested on.
constexpr Index sampled_pairs = 32;

}  // namespace

double curvature_defect(const Comm& comm, const Duals& duals, const Directions& directions,
                        std::span<const double> curved, const LinearOperator& curvature) {
  const Index pairs = duals.lanes.samples();
  const Index samples = std::min(sampled_pairs, pairs);
  const auto order = Random(0, Stream::probe).permutation(pairs);
  const Partition& partition = directions.partition;
  Matrix<double> whole(samples, partition.size());
  Matrix<double> expected(1, samples);
  Matrix<double> dual(duals.response.cols(), duals.covector.cols());
  std::vector<double> scale(static_cast<std::size_t>(samples));
  // Each sampled dual lives on one rank: the others add zeros, so that the sum is a copy.
  for (Index s = 0; s < samples; ++s) {
    const Index k = order[static_cast<std::size_t>(s)] - duals.first;
    if (k < 0 || k >= duals.count()) continue;
    const auto at = static_cast<std::size_t>(k);
    for (Index o = 0; o < dual.rows(); ++o)
      for (Index i = 0; i < dual.cols(); ++i)
        dual(o, i) = duals.inverse[at] * duals.response(k, o) * duals.covector(k, i);
    add_matrix(1.0, dual.view(), directions.place, whole.row(s));
    expected(0, s) = curved[at];
    scale[static_cast<std::size_t>(s)] = duals.norm[at] * duals.norm[at];
  }
  const auto share = [&](double* data, std::size_t count) {
    MPI_Allreduce(MPI_IN_PLACE, data, static_cast<int>(count), MPI_DOUBLE, MPI_SUM, comm.get());
  };
  share(whole.data(), whole.entries().size());
  share(expected.data(), static_cast<std::size_t>(samples));
  share(scale.data(), scale.size());

  const Index begin = partition.begin(comm.rank());
  const Index count = partition.count(comm.rank());
  Matrix<double> in(samples, count), out(samples, count);
  for (Index s = 0; s < samples; ++s) std::copy_n(whole.row(s).begin() + begin, count, in.row(s).begin());
  curvature.apply(in.view(), out.view());
  std::vector<double> forms(static_cast<std::size_t>(samples));
  for (Index s = 0; s < samples; ++s) forms[static_cast<std::size_t>(s)] = dot(in.row(s), out.row(s));
  share(forms.data(), forms.size());

  const double operator_norm =
      std::max(std::abs(directions.values.front()), std::abs(directions.values.back()));
  double worst = 0;
  for (std::size_t s = 0; s < forms.size(); ++s) {
    const double size = operator_norm * scale[s];
    if (size > 0) worst = std::max(worst, std::abs(forms[s] - expected(0, static_cast<Index>(s))) / size);
  }
  return worst;
}

}  // namespace dualscape::duality
