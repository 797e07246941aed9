#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/tangent.hpp"

/// Curvature of the mean training loss as matrix-free operators over a block of parameters.
namespace dualscape::operators {

/// A mean over samples of products with k directions: what all curvature operators share. A product gathers
/// the directions, adds over the tiles of this rank's lanes, and reduces once. Both exchanges are in Real:
/// what the network reads and what a lane sums up have no more digits than that. Buffers are kept between
/// products with equally many directions.
template <class Real>
class SampleMean : public LinearOperator {
 public:
  /// `linearisation` must outlive the operator.
  SampleMean(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block);

  const Comm& comm() const override { return linearisation_.comm(); }
  Partition range() const override { return partition_; }
  void apply(ConstMultiVector in, MultiVector out) const override;

 protected:
  /// Sees the k directions of a product before its tiles.
  virtual void prepare(const nn::BlockVectors<Real>& /*directions*/) const {}
  /// Adds the tile's sum of products with k directions to `out`.
  virtual void add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                        nn::BlockVectors<Real>& out) const = 0;

  const nn::Linearisation<Real>& linearisation_;
  nn::Tangent<Real> tangent_;
  mutable nn::TangentBuffers<Real> buffers_;
  std::vector<Index> parts_;  ///< sizes of the block's parts

 private:
  Partition partition_;
  mutable std::vector<Real> directions_;
  mutable std::optional<OrderedSum<Real>> sum_;
};

/// The Hessian of the mean loss: mean_p d^2 l_p / dW dW.
template <class Real>
class Hessian final : public SampleMean<Real> {
 public:
  using SampleMean<Real>::SampleMean;

 protected:
  void add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                nn::BlockVectors<Real>& out) const override;
};

/// mean_p J_p^T S_p J_p, with the positive semi-definite part of S.
template <class Real>
class GaussNewton final : public SampleMean<Real> {
 public:
  using SampleMean<Real>::SampleMean;

 protected:
  void add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                nn::BlockVectors<Real>& out) const override;
};

/// mean_p grad l_p grad l_p^T, uncentred.
template <class Real>
class EmpiricalFisher final : public SampleMean<Real> {
 public:
  using SampleMean<Real>::SampleMean;

 protected:
  void add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                nn::BlockVectors<Real>& out) const override;
};

/// Covariance of the samples' gradients: mean_p (grad l_p - g)(grad l_p - g)^T, g = mean_p grad l_p; the
/// empirical Fisher matrix less g g^T. The noise of stochastic gradient descent.
template <class Real>
class GradientCovariance final : public SampleMean<Real> {
 public:
  /// Computes the mean gradient. @note Collective
  GradientCovariance(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block);

 protected:
  void prepare(const nn::BlockVectors<Real>& directions) const override;
  void add_tile(const nn::Tile<Real>& tile, const nn::BlockVectors<Real>& directions,
                nn::BlockVectors<Real>& out) const override;

 private:
  std::vector<double> mean_;              ///< g
  mutable std::vector<Real> mean_along_;  ///< <g, v> of the current directions
};

/// The operator a deck asks for. The Fisher matrix is the Gauss-Newton matrix for cross-entropy, and for mse
/// that of Gaussian noise of variance C/2, which is Gauss-Newton again. Throws UsageError for a Fisher matrix
/// with softmax-mse, which is no negative log-likelihood.
template <class Real>
std::unique_ptr<LinearOperator> make_curvature(Curvature kind, const nn::Linearisation<Real>& linearisation,
                                               const nn::BlockLayout& block);

/// The gradient of the mean loss over a block of parameters, distributed as an operator's products are.
/// Buffers are kept between computations.
template <class Real>
class MeanGradient {
 public:
  /// `linearisation` must outlive it.
  MeanGradient(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block);

  const Partition& partition() const { return partition_; }
  /// `out`: one vector, this rank's part of it. @note Collective
  void compute(MultiVector out);

 private:
  const nn::Linearisation<Real>& linearisation_;
  nn::BlockLayout block_;
  Partition partition_;
  OrderedSum<Real> sum_;
};

/// The same once, on every rank. @note Collective
template <class Real>
std::vector<double> mean_gradient(const nn::Linearisation<Real>& linearisation, const nn::BlockLayout& block);

}  // namespace dualscape::operators
