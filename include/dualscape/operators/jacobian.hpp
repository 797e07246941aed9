#pragma once

#include "dualscape/base/linear_operator.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/tangent.hpp"

/// The network itself, linearised: what curvature operators are compositions of.
namespace dualscape::operators {

/// How the logits of all samples are spread over the ranks: C entries a sample, sample after sample, each
/// rank those of its lanes.
Partition logit_partition(const Lanes& lanes, Index classes, int ranks);

/// The Jacobian J of all samples' logits in a block of parameters, (N C) x P: J v = R{f} along v, and J^T u
/// the sum of the weights' adjoints. J J^T is the neural tangent kernel (Jacot et al. 2018).
///
/// Results are spread by logit_partition, arguments evenly. A product gathers the direction and works on this
/// rank's samples; a transposed one works on them and reduces once, with the same bits at any number of
/// ranks.
template <class Real>
class Jacobian final : public LinearOperator {
 public:
  /// `linearisation` must outlive the operator.
  Jacobian(const nn::Linearisation<Real>& linearisation, nn::BlockLayout block);

  const Comm& comm() const override { return linearisation_.comm(); }
  Partition range() const override { return logits_; }
  Partition domain() const override { return parameters_; }
  bool symmetric() const override { return false; }
  void apply(ConstMultiVector in, MultiVector out) const override;
  void apply_transpose(ConstMultiVector in, MultiVector out) const override;

 private:
  const nn::Linearisation<Real>& linearisation_;
  nn::Tangent<Real> tangent_;
  mutable nn::TangentBuffers<Real> buffers_;
  Partition logits_;
  Partition parameters_;
  std::vector<Index> parts_;  ///< sizes of the block's parts
};

/// S, the second derivatives of each sample's loss in its logits: (N C) x (N C), block diagonal, spread as
/// the Jacobian's results. J^T S J / N is the Gauss-Newton matrix.
template <class Real>
class LossCurvatureOperator final : public LinearOperator {
 public:
  /// `linearisation` must outlive the operator.
  LossCurvatureOperator(const nn::Linearisation<Real>& linearisation, nn::LossCurvature part);

  const Comm& comm() const override { return linearisation_.comm(); }
  Partition range() const override { return logits_; }
  void apply(ConstMultiVector in, MultiVector out) const override;

 private:
  const nn::Linearisation<Real>& linearisation_;
  nn::LossCurvature part_;
  Partition logits_;
};

}  // namespace dualscape::operators
