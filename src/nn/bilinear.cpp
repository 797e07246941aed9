#include "dualscape/nn/bilinear.hpp"

#include <stdexcept>

#include "dualscape/base/blas.hpp"

namespace dualscape::nn {
namespace {

/// z = W a, W out x in.
template <class Real>
class Dense final : public BilinearMap<Real> {
 public:
  Dense(Index in, Index out) : in_(in), out_(out) {}

  void apply(std::span<const Real> weight, ConstMatrixView<Real> a, Write write,
             MatrixView<Real> z) const override {
    gemm<Real>(Op::none, Op::transpose, Real(1), a, matrix(weight), beta(write), z);
  }
  void adjoint_input(std::span<const Real> weight, ConstMatrixView<Real> d, Write write,
                     MatrixView<Real> g) const override {
    gemm<Real>(Op::none, Op::none, Real(1), d, matrix(weight), beta(write), g);
  }
  void add_adjoint_weight(ConstMatrixView<Real> d, ConstMatrixView<Real> a,
                          std::span<Real> weight) const override {
    gemm<Real>(Op::transpose, Op::none, Real(1), d, a, Real(1), MatrixView<Real>(weight.data(), out_, in_));
  }

 private:
  ConstMatrixView<Real> matrix(std::span<const Real> weight) const { return {weight.data(), out_, in_}; }
  static Real beta(Write write) { return write == Write::add ? Real(1) : Real(0); }

  Index in_;
  Index out_;
};

}  // namespace

template <class Real>
std::unique_ptr<BilinearMap<Real>> make_bilinear_map(const Layer& layer) {
  switch (layer.kind) {
    case LayerKind::dense:
      return std::make_unique<Dense<Real>>(layer.in, layer.out);
  }
  throw std::logic_error("make_bilinear_map: unknown kind of layer");
}

template std::unique_ptr<BilinearMap<double>> make_bilinear_map<double>(const Layer&);
template std::unique_ptr<BilinearMap<float>> make_bilinear_map<float>(const Layer&);

}  // namespace dualscape::nn
