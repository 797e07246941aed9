#pragma once

#include <span>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/tangent.hpp"

/// How much a single sample can matter: upper bounds on |h_p|, the spectral norm of sample p's part in a
/// curvature matrix mean_p h_p over a block of parameters. In a fitted network most of them are next to
/// nothing.
///
/// With V^l, V_b^l a direction's shares in layer l, R{.} the derivative along it and
/// u^l = V^l a^(l-1) + V_b^l, of which |u^l| <= alpha_l |V|, alpha_l^2 = |a^(l-1)|^2 [weight in the block]
/// + 1 [bias in the block], the second derivative of a sample's loss is (differentiate
/// z^l = W^l a^(l-1) + b^l twice and follow it up to the logits)
///
///     V^T h_p V = R{f}^T S R{f}                                            (1)
///               + 2 sum_l d_z^l . V^l R{a^(l-1)}                           (2)
///               + sum_(l < L) sum_i d_a,i^l phi''(z_i^l) R{z_i^l}^2        (3)
///
/// (1) R{f} = J V. For a positive semi-definite S = sum_k s_k s_k^T: |J^T S J| <= tr J^T S J
///     = sum_k |J^T s_k|^2. S 1 = 0 for the losses of softmax, so that J may be replaced by
///     J' = J - 1 J_t, row t of the largest p_t taken off every row, of which row t is zero. With the rows'
///     norms k_c = |J'_c|, k_c^2 <= sum_l alpha_l^2 |D_c^l|^2 (equal to it, in fact) for D_c = d f_c / dz - d
///     f_t / dz from C passes backward:
///       cross-entropy  S <= diag(p):          sum_(c != t) p_c k_c^2, where all but the two largest of many
///                      terms have |D_c^l| <= sigma_l |W^(l+1)| |D_c^(l+1)| below the last hidden layer
///       mse            S = (2/C) 1:           (2/C) sum_c |J_c|^2
///       softmax-mse    (2/C) s s, where (s x)_c = p_c (x_c - p.x): (2/C) sum_c p_c^2 (k_c + kappa)^2,
///                      kappa = sum_c p_c k_c; and for the Hessian, with g the gradient in the logits,
///                      diag(g) - g p^T - p g^T: sum_c |g_c| k_c^2 + 2 (sum_c |g_c| k_c) kappa.
/// (2) R{a^(l-1)} = sum_(m < l) A_(l-1,m) u^m with A_(j,m) = d a^j / d z^m: the matrix that joins the layers
///     l and m has the norm c_lm <= |d_z^l| |A_(l-1,m)| alpha_m, and all of them together at most
///     sqrt(2 sum_(m < l) c_lm^2). |A_(j,m)| <= sigma_m prod_(m < i <= j) sigma_i |W^i| with
///     sigma_i = max |phi'(z^i)|.
/// (3) R{z^l} = sum_(m <= l) B_lm u^m with B_ll = 1, |B_lm| <= |W^l| |A_(l-1,m)|: at most
///     sum_l max_i |d_a,i^l phi''(z_i^l)| sum_(m <= l) |B_lm|^2 alpha_m^2.
///
/// Gauss-Newton has (1) alone, with the positive semi-definite part of S; the empirical Fisher matrix
/// h_p = grad l_p grad l_p^T, whose norm is sum_l alpha_l^2 |d_z^l|^2 with no inequality. The passes cost
/// C N x (weights above the block's lowest layer) multiply-adds, as much as about C / 6 products with the
/// Hessian; those of cross-entropy 2 N x, a third of a product.
namespace dualscape::operators {

/// The bounds of all samples, in their order, on every rank; the same bits at any number of ranks. Exact but
/// for rounding in Real, which is relative to each. Throws std::logic_error for the gradient covariance,
/// whose parts h_p need all other samples. @note Collective
template <class Real>
std::vector<double> sample_bounds(Curvature kind, const nn::Linearisation<Real>& linearisation,
                                  const nn::BlockLayout& block);

/// |W|_2 <= the result, larger by at most n^(1/128) - 1 of it for a smaller dimension n: the root of the
/// Frobenius norm of a power of the smaller Gram matrix.
double spectral_norm_bound(ConstMatrixView<double> weight);

/// Samples that are left out of a mean, and what that changes at most.
struct SampleChoice {
  std::vector<Index> kept;  ///< ascending
  Index dropped = 0;
  double bound = 0.0;  ///< sum of the dropped samples' bounds over the number of all samples
};

/// Drops samples, smallest bounds first (of equal ones the earlier), as long as `bound` stays at or below
/// `budget`; keeps at least one. Depends on its arguments alone.
SampleChoice choose_samples(std::span<const double> bounds, double budget);

/// The `count` samples of the largest bounds (of equal ones the later), ascending.
std::vector<Index> largest_samples(std::span<const double> bounds, Index count);

}  // namespace dualscape::operators
