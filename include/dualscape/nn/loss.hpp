#pragma once

#include <span>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/matrix.hpp"

/// Losses of single samples as functions of the logits f (n x C), with labels y in [0, C):
/// cross-entropy logsumexp(f) - f_y; mse mean_c (f - onehot)^2; softmax-mse mean_c (softmax(f) - onehot)^2.
namespace dualscape::nn {

/// Loss of each sample. In the precision-safe form log1p(sum_{c != y} exp(f_c - f_y)) where f_y is the
/// largest logit.
template <class Real>
void sample_losses(Loss loss, std::type_identity_t<ConstMatrixView<Real>> logits, std::span<const int> labels,
                   std::span<double> out);

/// Position of the largest logit of each sample, the lowest on a tie.
template <class Real>
void predictions(ConstMatrixView<Real> logits, std::span<int> out);

/// p = softmax(f), row by row.
template <class Real>
void softmax(std::type_identity_t<ConstMatrixView<Real>> logits, MatrixView<Real> p);

/// Gradient of each sample's loss in its logits.
template <class Real>
void loss_gradient(Loss loss, std::type_identity_t<ConstMatrixView<Real>> logits, std::span<const int> labels,
                   MatrixView<Real> gradient);

/// What of the loss' second derivative is meant.
enum class LossCurvature {
  full,  ///< S = d^2 l / df df, indefinite for softmax-mse
  psd,   ///< its positive semi-definite part: S itself, for softmax-mse (2/C) s s with s = diag(p) - p p^T
};

/// u = S v for k directions a sample: v and u are n x (k C), p = softmax(f) is n x C. May work in place.
template <class Real>
void loss_curvature_product(Loss loss, LossCurvature part, std::type_identity_t<ConstMatrixView<Real>> p,
                            std::span<const int> labels, std::type_identity_t<ConstMatrixView<Real>> v,
                            MatrixView<Real> u);

}  // namespace dualscape::nn
