#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numbers>

/// Elementary functions without branches, tables or calls, so that loops over many numbers vectorise: several
/// times the rate of the C library's one at a time, with errors of about one unit in the last place at most.
namespace dualscape {

namespace elementary {

/// What exp needs to know of a precision.
template <class Real>
struct Exponential;
template <>
struct Exponential<double> {
  using Bits = std::uint64_t;
  static constexpr int mantissa = 52, bias = 1023;
  /// ln 2 in two parts, the first with so few bits that its multiples by exponents are exact.
  static constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double lowest = -746;  ///< of which exp rounds to zero
  static constexpr int degree = 13;       ///< Taylor's: the rest at ln(2) / 2 is below 1e-17
};
template <>
struct Exponential<float> {
  using Bits = std::uint32_t;
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float ln2_high = 0x1.63p-1F, ln2_low = -0x1.bd0106p-13F;
  static constexpr float lowest = -105;
  static constexpr int degree = 7;  ///< the rest is below 6e-9
};

template <class Real, int degree>
constexpr std::array<Real, degree + 1> inverse_factorials() {
  std::array<Real, degree + 1> result{1};
  double factorial = 1;
  for (int k = 1; k <= degree; ++k) {
    factorial *= k;
    result[static_cast<std::size_t>(k)] = static_cast<Real>(1 / factorial);
  }
  return result;
}

}  // namespace elementary

/// exp(x) of an x <= 0. What is no number stays none; results below the smallest normal number are rounded
/// once, like all others.
template <class Real>
inline Real exp_nonpositive(Real x) {
  using E = elementary::Exponential<Real>;
  using Bits = typename E::Bits;
  constexpr auto coefficient = elementary::inverse_factorials<Real, E::degree>();
  // exp(x) = 2^n exp(r) with |r| <= ln(2) / 2. A number this large keeps its units in its last bits.
  constexpr Real units = Real(1.5) * static_cast<Real>(Bits{1} << E::mantissa);
  // Scaled up so far, all powers of two are normal numbers.
  constexpr int up = 64;
  constexpr Real down = 0x1p-64F;
  x = x < E::lowest ? E::lowest : x;
  const Real shifted = x * std::numbers::log2e_v<Real> + units;
  const Real n = shifted - units;
  const Real r = (x - n * E::ln2_high) - n * E::ln2_low;
  Real sum = coefficient[E::degree];
  for (int k = E::degree; k-- > 0;) sum = sum * r + coefficient[static_cast<std::size_t>(k)];
  const Bits power = (std::bit_cast<Bits>(shifted) + Bits{E::bias + up}) << E::mantissa;
  return sum * std::bit_cast<Real>(power) * down;
}

/// log(1 + x) of a finite x >= 0, with the relative precision of x where that is tiny: log(u) of the rounded
/// u = 1 + x, and what the rounding left out over u (the algorithm and coefficients of fdlibm's log1p, Sun
/// Microsystems 1993).
inline double log1p_nonnegative(double x) {
  constexpr double ln2_high = elementary::Exponential<double>::ln2_high;
  constexpr double ln2_low = elementary::Exponential<double>::ln2_low;
  constexpr auto one = std::bit_cast<std::uint64_t>(1.0);
  constexpr auto root_half = std::bit_cast<std::uint64_t>(std::numbers::sqrt2 / 2);
  const double u = 1 + x;
  const double left = (x - (u - 1)) / u;
  // u = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2).
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(u) + (one - root_half);
  const double k =
      std::bit_cast<double>((bits >> 52) | std::bit_cast<std::uint64_t>(0x1p52)) - (0x1p52 + 1023);
  const double f = std::bit_cast<double>((bits & ((std::uint64_t{1} << 52) - 1)) + root_half) - 1;
  // log(1 + f) = 2 artanh(s), s = f / (2 + f).
  const double s = f / (2 + f);
  const double z = s * s;
  double sum = 1.479819860511658591e-01;
  for (const double c : {1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
                         2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01})
    sum = sum * z + c;
  const double half_square = 0.5 * f * f;
  return k * ln2_high - ((half_square - (s * (half_square + z * sum) + (k * ln2_low + left))) - f);
}

}  // namespace dualscape
