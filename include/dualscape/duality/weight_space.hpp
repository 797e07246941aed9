#pragma once

#include <span>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/duality/duals.hpp"

/// Operators on weight space made of the dual weights: means over the pairs of rank-one forms, never formed.
namespace dualscape::duality {

/// One of, with D_k the dual weights, e_k = D_k / |D_k|, g_k = (Dl_k / |D_k|^2) D_k and means over the kept
/// pairs (those with a zero dual count with D_k = 0):
///
///     gap                Q   = mean Dl_k e_k e_k^T: v^T Q v is the contribution of a direction v
///     dual_covariance    S_w = mean (D_k - mean D)(D_k - mean D)^T: v^T S_w v = sigma_w^2
///     dual_moment              mean D_k D_k^T
///     secant_covariance  S_g = mean (g_k - mean g)(g_k - mean g)^T: v^T S_g v = sigma_g^2
///     secant_moment            mean g_k g_k^T
///
/// A product gathers the directions, adds over the tiles of this rank's pairs with two GEMMs each, and
/// reduces.
class WeightOperator final : public LinearOperator {
 public:
  /// Acts on vectors of `block`, in which the layer's duals stand at `place`; zero elsewhere.
  /// `comm` and `duals` must outlive the operator. @note Collective
  WeightOperator(const Comm& comm, const Duals& duals, DualOperator kind, const Partition& block,
                 const Place& place);

  const Comm& comm() const override { return comm_; }
  Partition range() const override { return block_; }
  void apply(ConstMultiVector in, MultiVector out) const override;

 private:
  const Comm& comm_;
  const Duals& duals_;
  Partition block_;
  Place place_;
  bool centred_;
  double per_pair_;             ///< 1 / number of kept pairs
  std::vector<double> weight_;  ///< c_k of mean c_k D_k <D_k, x>
  std::vector<double> scale_;   ///< f_k of the centred vectors f_k D_k
};

/// P A P, where P projects off the rows of `basis`, which are orthonormal: the part of A that they do not
/// see. `inner` and what `basis` views must outlive the operator.
class OffSubspace final : public LinearOperator {
 public:
  OffSubspace(const LinearOperator& inner, ConstMultiVector basis) : inner_(inner), basis_(basis) {}

  const Comm& comm() const override { return inner_.comm(); }
  Partition range() const override { return inner_.range(); }
  void apply(ConstMultiVector in, MultiVector out) const override;

 private:
  void project(MultiVector vectors) const;

  const LinearOperator& inner_;
  ConstMultiVector basis_;
};

/// How two symmetric operators A and B lie to each other within a subspace P: alike when both have the same
/// eigenvectors there.
struct Alignment {
  double commutator = 0;  ///< |[PAP, PBP]|_F / (|PAP|_F |PBP|_F): from 0, alike, to sqrt 2; 0 if one is zero
  double diagonal = 0;    ///< share of |PBP|_F^2 on the diagonal in A's eigenbasis: 1, alike; 0 if B is zero
};

/// Of A, with these eigenvalues and eigenvectors (as rows), and `b`, in the span of the eigenvectors. @note
/// Collective
Alignment align(std::span<const double> values, ConstMultiVector vectors, const LinearOperator& b);

/// The K eigenvalues, descending, of D^T H D / K with D the centred dual weights of the K kept pairs: the
/// nonzero ones are those of H S_w, which no linear reparametrisation of the weights changes. H acts on
/// `curvature.range()`, in which the layer's duals stand at `place`. Of use while K x K and a few
/// K x M numbers are small. @note Collective
std::vector<double> co_spectrum(const LinearOperator& curvature, const Duals& duals, const Place& place);

/// The same from all eigenpairs of H (vectors as rows, parts by `block`): two GEMMs in place of K products
/// with H. @note Collective
std::vector<double> co_spectrum(const Comm& comm, std::span<const double> values, ConstMultiVector vectors,
                                const Partition& block, const Duals& duals, const Place& place);

}  // namespace dualscape::duality
