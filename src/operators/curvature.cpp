#include "dualscape/operators/curvature.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "dualscape/base/error.hpp"
#include "dualscape/nn/loss.hpp"
#include "lane_sums.hpp"

namespace dualscape::operators {
namespace {

template <class Real>
double per_sample(const nn::Linearisation<Real>& linearisation) {
  return 1.0 / static_cast<double>(linearisation.lanes().samples());
}

}  // namespace

template <class Real>
SampleMean<Real>::SampleMean(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block)
    : linearisation_(linearisation),
      tangent_(linearisation.model(), std::move(block)),
      parts_(nn::part_sizes(linearisation.network(), tangent_.block())),
      partition_(tangent_.block().size, linearisation.comm().size()) {}

template <class Real>
void SampleMean<Real>::apply(ConstMultiVector in, MultiVector out) const {
  const Index size = partition_.size();
  directions_.resize(static_cast<std::size_t>(in.rows * size));
  gather_pieces<Real>(comm(), partition_, in, parts_, directions_);
  const nn::BlockVectors<Real> directions(directions_, in.rows);
  prepare(directions);

  if (!sum_ || sum_->vectors() != in.rows)
    sum_.emplace(comm(), linearisation_.lanes(), in.rows, size, parts_);
  sum_lanes(linearisation_, *sum_, [&](const nn::Tile<Real>& tile, nn::BlockVectors<Real>& sums) {
    add_tile(tile, directions, sums);
  });
  sum_->reduce_scatter(partition_, out);
  const double weight = per_sample(linearisation_);
  for (Index j = 0; j < out.rows; ++j)
    for (double& x : out.row(j)) x *= weight;
}

template <class Real>
void Hessian<Real>::add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                             nn::BlockVectors<Real>& out) const {
  const auto rf = this->tangent_.forward(tile, directions, this->buffers_);
  const auto rd = this->tangent_.top(this->buffers_, tile.count, directions.count());
  nn::loss_curvature_product<Real>(this->linearisation_.network().loss(), nn::LossCurvature::full,
                                   tile.p.view().rows_from(0, tile.count), tile.labels, rf, rd);
  this->tangent_.add_gradient_derivative(tile, directions, this->buffers_, out);
}

template <class Real>
void GaussNewton<Real>::add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                                 nn::BlockVectors<Real>& out) const {
  const auto rf = this->tangent_.forward(tile, directions, this->buffers_);
  const auto rd = this->tangent_.top(this->buffers_, tile.count, directions.count());
  nn::loss_curvature_product<Real>(this->linearisation_.network().loss(), nn::LossCurvature::psd,
                                   tile.p.view().rows_from(0, tile.count), tile.labels, rf, rd);
  this->tangent_.add_transposed(tile, this->buffers_, out);
}

template <class Real>
void EmpiricalFisher<Real>::add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                                     nn::BlockVectors<Real>& out) const {
  const auto slopes = this->tangent_.slopes(tile, directions, this->buffers_);
  this->tangent_.add_gradients(tile, slopes, this->buffers_, out);
}

template <class Real>
GradientCovariance<Real>::GradientCovariance(const nn::Linearisation<Real>& linearisation,
                                             nn::BlockLayout block)
    : SampleMean<Real>(linearisation, block), mean_(mean_gradient(linearisation, block)) {}

template <class Real>
void GradientCovariance<Real>::prepare(const nn::BlockVectors<Real>& directions) const {
  std::vector<double> along(static_cast<std::size_t>(directions.count()));
  std::size_t offset = 0;
  for (Index size : this->parts_) {
    const auto width = static_cast<std::size_t>(size);
    const auto mean = std::span(mean_).subspan(offset, width);
    const auto shares = directions.part(static_cast<Index>(offset), size);
    for (std::size_t j = 0; j < along.size(); ++j)
      along[j] = std::inner_product(mean.begin(), mean.end(), shares.begin() + static_cast<Index>(j * width),
                                    along[j]);
    offset += width;
  }
  mean_along_.assign(along.begin(), along.end());
}

template <class Real>
void GradientCovariance<Real>::add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                                        nn::BlockVectors<Real>& out) const {
  // mean (grad l_p - g) <grad l_p - g, v> = mean grad l_p (<grad l_p, v> - <g, v>), since g is the mean.
  const auto slopes = this->tangent_.slopes(tile, directions, this->buffers_);
  for (Index i = 0; i < slopes.rows; ++i) combine(slopes.row(i), mean_along_, std::minus<>());
  this->tangent_.add_gradients(tile, slopes, this->buffers_, out);
}

template <class Real>
std::unique_ptr<LinearOperator> make_curvature(Curvature kind, const nn::Linearisation<Real>& linearisation,
                                               const nn::BlockLayout& block) {
  switch (kind) {
    case Curvature::hessian:
      return std::make_unique<Hessian<Real>>(linearisation, block);
    case Curvature::gauss_newton:
      return std::make_unique<GaussNewton<Real>>(linearisation, block);
    case Curvature::fisher:
      if (linearisation.network().loss() == Loss::softmax_mse)
        throw UsageError(
            "spectrum.operator = \"fisher\" has no meaning with network.loss = \"softmax-mse\", which is no "
            "negative "
            "log-likelihood; use \"gauss-newton\" or \"empirical-fisher\"");
      return std::make_unique<GaussNewton<Real>>(linearisation, block);
    case Curvature::empirical_fisher:
      return std::make_unique<EmpiricalFisher<Real>>(linearisation, block);
    case Curvature::gradient_covariance:
      return std::make_unique<GradientCovariance<Real>>(linearisation, block);
  }
  throw std::logic_error("make_curvature: unknown kind");
}

template <class Real>
MeanGradient<Real>::MeanGradient(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block)
    : linearisation_(linearisation),
      block_(std::move(block)),
      partition_(block_.size, linearisation.comm().size()),
      sum_(linearisation.comm(), linearisation.lanes(), 1, block_.size) {}

template <class Real>
void MeanGradient<Real>::compute(MultiVector out) {
  sum_lanes(linearisation_, sum_, [&](const nn::Tile<Real>& tile, nn::BlockVectors<Real>& sums) {
    nn::tile_gradient(linearisation_.model(), block_, tile, nn::Write::add,
                      MatrixView<Real>(sums.part(0, block_.size).data(), 1, block_.size));
  });
  sum_.reduce_scatter(partition_, out);
  const double weight = per_sample(linearisation_);
  for (double& x : out.row(0)) x *= weight;
}

template <class Real>
std::vector<double> mean_gradient(const nn::Linearisation<Real>& linearisation,
                                  const nn::BlockLayout& block) {
  MeanGradient<Real> gradient(linearisation, block);
  const Comm& comm = linearisation.comm();
  Matrix<double> part(1, gradient.partition().count(comm.rank()));
  gradient.compute(part.view());
  std::vector<double> whole(static_cast<std::size_t>(block.size));
  gather_all(comm, gradient.partition(), part.view(), {whole.data(), 1, block.size});
  return whole;
}

template class SampleMean<double>;
template class SampleMean<float>;
template class Hessian<double>;
template class Hessian<float>;
template class GaussNewton<double>;
template class GaussNewton<float>;
template class EmpiricalFisher<double>;
template class EmpiricalFisher<float>;
template class GradientCovariance<double>;
template class GradientCovariance<float>;
template class MeanGradient<double>;
template class MeanGradient<float>;
template std::unique_ptr<LinearOperator> make_curvature<double>(Curvature, const nn::Linearisation<double>&,
                                                                const nn::BlockLayout&);
template std::unique_ptr<LinearOperator> make_curvature<float>(Curvature, const nn::Linearisation<float>&,
                                                               const nn::BlockLayout&);
template std::vector<double> mean_gradient<double>(const nn::Linearisation<double>&, const nn::BlockLayout&);
template std::vector<double> mean_gradient<float>(const nn::Linearisation<float>&, const nn::BlockLayout&);

}  // namespace dualscape::operators
