#include "dualscape/operators/jacobian.hpp"

#include <algorithm>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"
#include "lane_sums.hpp"

namespace dualscape::operators {
namespace {

/// Calls visit(tile, first) for every tile of this rank, `first` the position of its first sample here.
/// Failures and requests to stop become collective: there is no sum they could travel with. @note Collective
template <class Real, class Visit>
void for_own_tiles(const nn::Linearisation<Real>& linearisation, const Visit& visit) {
  const Lanes& lanes = linearisation.lanes();
  const Comm& comm = linearisation.comm();
  std::exception_ptr error;
  try {
    if (stop_requested()) throw Interrupted("stopped by a signal");
    Index first = 0;
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane)
      linearisation.for_each_tile(lane, [&](const nn::Tile<Real>& tile) {
        visit(tile, first);
        first += tile.count;
      });
  } catch (...) {
    error = std::current_exception();
  }
  throw_collectively(comm, error);
}

/// k vectors of logits as the samples' own: tile(i, j C + c) of sample i, vector j, class c.
template <class Real>
void take_samples(ConstMultiVector vectors, Index first, Index classes, MatrixView<Real> tile) {
  for (Index i = 0; i < tile.rows; ++i)
    for (Index j = 0; j < vectors.rows; ++j)
      for (Index c = 0; c < classes; ++c)
        tile(i, j * classes + c) = static_cast<Real>(vectors(j, (first + i) * classes + c));
}

template <class Real>
void put_samples(std::type_identity_t<ConstMatrixView<Real>> tile, Index first, Index classes,
                 MultiVector vectors) {
  for (Index i = 0; i < tile.rows; ++i)
    for (Index j = 0; j < vectors.rows; ++j)
      for (Index c = 0; c < classes; ++c)
        vectors(j, (first + i) * classes + c) = static_cast<double>(tile(i, j * classes + c));
}

}  // namespace

Partition logit_partition(const Lanes& lanes, Index classes, int ranks) {
  std::vector<Index> borders;
  for (int rank = 0; rank <= ranks; ++rank) borders.push_back(classes * lanes.first_sample(rank, ranks));
  return Partition(std::move(borders));
}

template <class Real>
Jacobian<Real>::Jacobian(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block)
    : linearisation_(linearisation),
      tangent_(linearisation.model(), std::move(block)),
      logits_(logit_partition(linearisation.lanes(), linearisation.network().outputs(),
                              linearisation.comm().size())),
      parameters_(tangent_.block().size, linearisation.comm().size()),
      parts_(nn::part_sizes(linearisation.network(), tangent_.block())) {}

template <class Real>
void Jacobian<Real>::apply(ConstMultiVector in, MultiVector out) const {
  std::vector<Real> whole(static_cast<std::size_t>(in.rows * parameters_.size()));
  gather_pieces<Real>(comm(), parameters_, in, parts_, whole);
  const nn::BlockVectors<Real> directions(whole, in.rows);
  const Index classes = linearisation_.network().outputs();
  for_own_tiles(linearisation_, [&](const nn::Tile<Real>& tile, Index first) {
    put_samples<Real>(tangent_.forward(tile, directions, buffers_), first, classes, out);
  });
}

template <class Real>
void Jacobian<Real>::apply_transpose(ConstMultiVector in, MultiVector out) const {
  const Index classes = linearisation_.network().outputs();
  OrderedSum<Real> sum(comm(), linearisation_.lanes(), in.rows, parameters_.size(), parts_);
  Index first = 0;
  sum_lanes(linearisation_, sum, [&](const nn::Tile<Real>& tile, nn::BlockVectors<Real>& sums) {
    take_samples(in, first, classes, tangent_.top(buffers_, tile.count, in.rows));
    first += tile.count;
    tangent_.add_transposed(tile, buffers_, sums);
  });
  sum.reduce_scatter(parameters_, out);
}

template <class Real>
LossCurvatureOperator<Real>::LossCurvatureOperator(const nn::Linearisation<Real>& linearisation,
                                                   nn::LossCurvature part)
    : linearisation_(linearisation),
      part_(part),
      logits_(logit_partition(linearisation.lanes(), linearisation.network().outputs(),
                              linearisation.comm().size())) {}

template <class Real>
void LossCurvatureOperator<Real>::apply(ConstMultiVector in, MultiVector out) const {
  const nn::Network& network = linearisation_.network();
  for_own_tiles(linearisation_, [&](const nn::Tile<Real>& tile, Index first) {
    Matrix<Real> u(tile.count, in.rows * network.outputs());
    take_samples(in, first, network.outputs(), u.view());
    nn::loss_curvature_product<Real>(network.loss(), part_, tile.p.view().rows_from(0, tile.count),
                                     tile.labels, u.view(), u.view());
    put_samples<Real>(u.view(), first, network.outputs(), out);
  });
}

template class Jacobian<double>;
template class Jacobian<float>;
template class LossCurvatureOperator<double>;
template class LossCurvatureOperator<float>;

}  // namespace dualscape::operators
