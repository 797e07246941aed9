#pragma once

#include <functional>

#include "dualscape/base/linear_operator.hpp"
#include "dualscape/petsc/eigensolver.hpp"
#include "dualscape/spectrum/certificate.hpp"

/// Eigenpairs of an operator A by products with a cheaper one B that is close to it, and few with A.
///
/// A solve with B leaves each pair of A the residual |E v|, E = A - B. Where that is too much, products with
/// the found vectors V tell E on their span, P = V V^T, and the solve is repeated with
///
///     B' = B + E P + P E - P E P = A - (1 - P) E (1 - P),
///
/// which agrees with A on them. The residual of its pairs is |(1 - P) E (1 - P) v|, where |(1 - P) v| is what
/// the last round's vectors were off by, about |E| over the gap: each round gains that factor.
///
/// Where B is A in a lower precision, or that without some samples, E is its rounding at the end, which no
/// linear correction tells: refine.hpp takes over.
namespace dualscape::spectrum {

/// B' above. Takes two reductions' worth of m numbers a vector beside the product with B.
class Corrected final : public LinearOperator {
 public:
  /// `vectors`: m orthonormal rows, this rank's parts; `products`: A times these. `stand_in` must outlive the
  /// operator. Makes m products with B. @note Collective
  Corrected(const LinearOperator& stand_in, Matrix<double> vectors, Matrix<double> products);

  const Comm& comm() const override { return stand_in_.comm(); }
  Partition range() const override { return stand_in_.range(); }
  void apply(ConstMultiVector in, MultiVector out) const override;

 private:
  const LinearOperator& stand_in_;
  Matrix<double> vectors_;   ///< V
  Matrix<double> errors_;    ///< E V
  Matrix<double> together_;  ///< V^T E V, m x m
};

/// What a solve by a stand-in came to.
struct StandInSolve {
  bool settled = false;     ///< every pair asked for meets the tolerance with A
  petsc::Eigenpairs pairs;  ///< the last round's
  Residuals residuals;      ///< of these, by fresh products with A; none where too few pairs were found
  double asymmetry = 0.0;   ///< largest |<v, A u> - <u, A v>| over these
  Index products = 0;       ///< with A
  Index stand_in_products = 0;
};

/// Which pairs are to be settled, and how far.
struct StandInOptions {
  petsc::EigenOptions solve;  ///< of a solve with A
  double rounding = 0.0;      ///< unit roundoff of the products with B
  bool near = false;          ///< B is A but for rounding
  bool as_they_are = false;   ///< no rounds: the first solve's pairs, settled or not
  /// Hears of where the rounds stand when a product throws Interrupted; the solve's on_restart is for the
  /// first solve alone.
  std::function<void(const StandInSolve& solve)> interrupted;
};

/// Repeats solves with B, better each time, until the residuals with A are settled. Residuals that are no
/// larger than B's rounding are refined in place of that (refine.hpp): another solve would leave as much
/// again. Gives up where a round gains less than a factor of two or finds too few pairs. `from`: where the
/// first solve goes on. Throws what solve_ends throws. @note Collective
StandInSolve solve_by_stand_in(const LinearOperator& op, const LinearOperator& stand_in,
                               const StandInOptions& options, petsc::EigenState from = {});

}  // namespace dualscape::spectrum
