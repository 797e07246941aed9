#pragma once

#include <cstdint>
#include <vector>

#include "dualscape/base/linear_operator.hpp"
#include "dualscape/base/rounding.hpp"

/// What certifies computed eigenpairs of a symmetric operator H, from products made anew; of a complete
/// spectrum, from its matrix (complete.hpp). `norm` is an estimate of |H|_2, `rounding` the unit roundoff of
/// the products; each bound includes 50 rounding |H|.
namespace dualscape::spectrum {

/// Vectors multiplied at once where vectors of `size` entries are many: bounds the memory of a block.
Index block_width(Index size);

/// Rayleigh quotients theta of the given vectors and |H v - theta v| / |v|, in their order.
struct Residuals {
  std::vector<double> values;
  std::vector<double> residuals;
};

/// What else fresh products give, where it is asked for.
struct ResidualDetails {
  Matrix<double>* rest = nullptr;      ///< gets the residual vectors H v - theta v
  Matrix<double>* together = nullptr;  ///< gets V^T H V: row j has <v_i, H v_j>
};

/// One fresh block product per vector. @note Collective
Residuals fresh_residuals(const LinearOperator& op, ConstMultiVector vectors,
                          const ResidualDetails& details = {});

/// Largest |a_ij - a_ji|.
double asymmetry(ConstMatrixView<double> a);

struct Bounds {
  /// |lambda - theta| for some eigenvalue lambda: min(r, r^2/d), or min(r, r^2/(d - s) + s).
  std::vector<double> value_bounds;
  /// Sine of the angle to that eigenvalue's eigenvector: r/d; 1 where r >= d.
  std::vector<double> angle_bounds;
  /// Cluster of each pair, counted from 0 in the order of the values: neighbours whose distance is below 1e-6
  /// of their size, or below the sum of their residuals. Within a cluster single vectors mean nothing, only
  /// the space they span does.
  std::vector<Index> clusters;
};

using dualscape::residual_floor;

/// Bounds from the values (descending) and residuals of computed pairs alone. d is the distance of theta to
/// the other computed eigenvalues, min_j |theta - theta_j| - r_j. The first `upper` pairs are the upper end
/// of a spectrum of `size` eigenvalues and the others its lower end; the pair of each end that is next to
/// what was not computed has d = 0, and all d take it that no eigenvalue beyond that pair was missed.
///
/// Where the pairs were searched with another operator, at most `distance` from this one in norm, what was
/// not computed may reach past the last pair by 2 distance, as both operators' eigenvalues, in order, are no
/// further apart (Weyl) and nor are their Rayleigh quotients; past the pairs that are within reach of that,
/// and so on. d goes no further than there.
///
/// r^2/d is of Rayleigh quotients (Kato and Temple). Values that may be as far as `shift` = s from these have
/// r^2/(d - s) + s instead.
Bounds error_bounds(const std::vector<double>& values, const std::vector<double>& residuals, Index upper,
                    Index size, double norm, double rounding, double distance = 0.0, double shift = 0.0);

/// Largest entry of |V V^T - 1| for the rows of `vectors`. @note Collective
double orthogonality_defect(const Comm& comm, ConstMultiVector vectors);

/// |<u, H v> - <v, H u>| / |H| for random unit vectors u, v: two products. @note Collective
double symmetry_defect(const LinearOperator& op, double norm, std::uint64_t seed);

/// Gives each vector the sign that makes its entry of largest magnitude positive; the first of several that
/// are equal to 8 digits decides. @note Collective
void fix_signs(const Comm& comm, const Partition& partition, MultiVector vectors);

}  // namespace dualscape::spectrum
