#pragma once

#include "dualscape/nn/linearisation.hpp"

/// The Hessian of one dense layer, of which each sample's part is a Kronecker product:
///
///     h_p = M_p (x) a_p a_p^T,   M_p = d^2 l / dz dz (out x out)
///     M^L = S,   M^l = diag(phi') W^(l+1)^T M^(l+1) W^(l+1) diag(phi') + diag(phi'' . (W^(l+1)^T d^(l+1)))
///
/// exact for any activations above, since z = W a is linear in W.
namespace dualscape::operators {

/// M_p of each sample of a tile at layer `layer`: n x (out out), row-major within a row.
template <class Real>
Matrix<Real> preactivity_hessians(const nn::Linearisation<Real>& linearisation, const nn::Tile<Real>& tile,
                                  Index layer);

/// The packed numbers it makes at once, a lower triangle for each of the samples and of the two sides: their
/// buffers stay within some ten megabytes.
struct PackedSizes {
  PackedSizes(const nn::Layer& layer, bool bias);
  Index rows;     ///< of the lower triangle of M
  Index cols;     ///< of the lower triangle of a a^T, with `bias` of (a, 1)(a, 1)^T
  Index samples;  ///< at once
};

/// The dense Hessian of the mean loss in a layer's weight, with `bias` followed by the bias, on every rank:
/// one GEMM a tile on packed symmetric products. The layer must be dense. @note Collective
template <class Real>
Matrix<double> assemble_layer_hessian(const nn::Linearisation<Real>& linearisation, Index layer, bool bias);

}  // namespace dualscape::operators
