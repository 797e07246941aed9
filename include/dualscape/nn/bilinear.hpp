#pragma once

#include <memory>
#include <span>

#include "dualscape/base/matrix.hpp"
#include "dualscape/nn/network.hpp"

namespace dualscape::nn {

/// Whether a product replaces what its result held or is added to it.
enum class Write { replace, add };

/// The map (W, a) -> z of a layer, linear in each argument, and its two adjoints, for a tile of n samples: a
/// is n x in, z and d are n x out. Everything a network's derivatives need of a layer; a new kind of layer is
/// these three functions and its line in make_bilinear_map.
template <class Real>
class BilinearMap {
 public:
  virtual ~BilinearMap() = default;

  /// z = B(W, a)
  virtual void apply(std::span<const Real> weight, ConstMatrixView<Real> a, Write write,
                     MatrixView<Real> z) const = 0;
  /// The g with <d, B(W, a)> = <g, a>
  virtual void adjoint_input(std::span<const Real> weight, ConstMatrixView<Real> d, Write write,
                             MatrixView<Real> g) const = 0;
  /// The G with <d, B(W, a)> = <G, W>, summed over the tile's samples
  virtual void adjoint_weight(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Write write,
                              std::span<Real> weight) const = 0;

  /// The same for k weights one after the other in `weights`, where direction j of a block takes columns
  /// [j width, (j+1) width); a layer may do them in one product. Z_j = B(W_j, a); z is n x (k out).
  virtual void apply_many(std::span<const Real> weights, Index k, ConstMatrixView<Real> a, Write write,
                          MatrixView<Real> z) const;
  /// G_j = adjoint to the input of (W_j, d); g is n x (k in).
  virtual void adjoint_input_many(std::span<const Real> weights, Index k, ConstMatrixView<Real> d,
                                  Write write, MatrixView<Real> g) const;
  /// W_j += adjoint to the weight of (D_j, a); d is n x (k out).
  virtual void add_adjoint_weight_many(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Index k,
                                       std::span<Real> weights) const;
  /// W_j += adjoint to the weight of (d, A_j); a is n x (k in).
  virtual void add_adjoint_weight_of_many(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Index k,
                                          std::span<Real> weights) const;
};

template <class Real>
std::unique_ptr<BilinearMap<Real>> make_bilinear_map(const Layer& layer);

}  // namespace dualscape::nn
