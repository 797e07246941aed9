#pragma once

#include <memory>
#include <span>
#include <vector>

#include "dualscape/base/matrix.hpp"
#include "dualscape/nn/activation.hpp"
#include "dualscape/nn/bilinear.hpp"
#include "dualscape/nn/network.hpp"

namespace dualscape::nn {

/// Activities of a tile of n samples on their way up. Buffers are kept between tiles.
template <class Real>
struct Activities {
  std::vector<Matrix<Real>> a;  ///< a[l]: n x in of layer l, the activity that enters it; a[0] is the input
  std::vector<Matrix<Real>> z;  ///< z[l]: n x out of layer l; the last one holds the logits
  Index count = 0;              ///< n: rows in use

  MatrixView<Real> input() { return a.front().top(count); }
  MatrixView<Real> entering(Index l) { return a[static_cast<std::size_t>(l)].top(count); }
  MatrixView<Real> preactivity(Index l) { return z[static_cast<std::size_t>(l)].top(count); }
  MatrixView<Real> logits() { return z.back().top(count); }
};

/// A network with parameters in the precision it computes in.
template <class Real>
class Model {
 public:
  /// Parameters are zero until set.
  explicit Model(const Network& network);

  const Network& network() const { return network_; }
  const BilinearMap<Real>& map(Index l) const { return *maps_[static_cast<std::size_t>(l)]; }
  std::span<Real> parameters() { return parameters_; }
  std::span<const Real> parameters() const { return parameters_; }
  void set_parameters(std::span<const double> parameters);
  std::span<const Real> weight(Index l) const;
  /// Empty where the layer has none.
  std::span<const Real> bias(Index l) const;

  /// Buffers for tiles of at most `samples` samples; those whose first layer is computed elsewhere need none
  /// for inputs.
  Activities<Real> make_activities(Index samples, bool with_inputs = true) const;
  /// From the inputs in a[0] to the logits in the last z, for `count` samples. `mask(l, a)` is applied to the
  /// activity that leaves layer l before it enters the next one (dropout).
  template <class Mask>
  void forward(Index count, std::span<Matrix<Real>> a, std::span<Matrix<Real>> z, const Mask& mask) const {
    forward_layer(0, a.front().top(count), z.front().top(count));
    forward_above(0, count, a, z, mask);
  }
  void forward(Activities<Real>& act) const {
    forward(act.count, std::span(act.a), std::span(act.z), no_mask);
  }
  /// The same from z^l on, which is in z[l].
  template <class Mask>
  void forward_above(Index l, Index count, std::span<Matrix<Real>> a, std::span<Matrix<Real>> z,
                     const Mask& mask) const {
    for (auto k = static_cast<std::size_t>(l); k + 1 < a.size(); ++k) {
      activate<Real>(network_.layer(static_cast<Index>(k)).activation, z[k].top(count), a[k + 1].top(count));
      mask(static_cast<Index>(k), a[k + 1].top(count));
      forward_layer(static_cast<Index>(k) + 1, a[k + 1].top(count), z[k + 1].top(count));
    }
  }
  void forward_above(Index l, Activities<Real>& act) const {
    forward_above(l, act.count, std::span(act.a), std::span(act.z), no_mask);
  }
  /// z = B(W^l, a) + b^l
  void forward_layer(Index l, ConstMatrixView<Real> a, MatrixView<Real> z) const;

  /// Leaves activities as they are.
  static void no_mask(Index, MatrixView<Real>) {}

 private:
  Network network_;
  std::vector<std::shared_ptr<const BilinearMap<Real>>> maps_;  ///< stateless: copies of a model share them
  std::vector<Real> parameters_;
};

/// z += b on every row.
template <class Real>
void add_bias(std::span<const Real> bias, MatrixView<Real> z);

/// sums += the sum of d's rows.
template <class Real>
void add_row_sums(std::type_identity_t<ConstMatrixView<Real>> d, std::span<Real> sums);

}  // namespace dualscape::nn
