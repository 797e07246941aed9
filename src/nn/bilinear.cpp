#include "dualscape/nn/bilinear.hpp"

#include <stdexcept>

#include "dualscape/base/blas.hpp"

namespace dualscape::nn {
namespace {

/// Part j of k equal parts.
template <class T>
std::span<T> part(std::span<T> all, Index j, Index k) {
  const std::size_t size = all.size() / static_cast<std::size_t>(k);
  return all.subspan(static_cast<std::size_t>(j) * size, size);
}
template <class T>
MatrixView<T> columns(MatrixView<T> all, Index j, Index k) {
  const Index width = all.cols / k;
  return all.cols_from(j * width, width);
}

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
  void adjoint_weight(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Write write,
                      std::span<Real> weight) const override {
    gemm<Real>(Op::transpose, Op::none, Real(1), d, a, beta(write),
               MatrixView<Real>(weight.data(), out_, in_));
  }

  // Stacked weights are one matrix of k out rows.
  void apply_many(std::span<const Real> weights, Index k, ConstMatrixView<Real> a, Write write,
                  MatrixView<Real> z) const override {
    gemm<Real>(Op::none, Op::transpose, Real(1), a, ConstMatrixView<Real>(weights.data(), k * out_, in_),
               beta(write), z);
  }
  void add_adjoint_weight_many(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Index k,
                               std::span<Real> weights) const override {
    gemm<Real>(Op::transpose, Op::none, Real(1), d, a, Real(1),
               MatrixView<Real>(weights.data(), k * out_, in_));
  }

 private:
  ConstMatrixView<Real> matrix(std::span<const Real> weight) const { return {weight.data(), out_, in_}; }
  static Real beta(Write write) { return write == Write::add ? Real(1) : Real(0); }

  Index in_;
  Index out_;
};

}  // namespace

template <class Real>
void BilinearMap<Real>::apply_many(std::span<const Real> weights, Index k, ConstMatrixView<Real> a,
                                   Write write, MatrixView<Real> z) const {
  for (Index j = 0; j < k; ++j) apply(part(weights, j, k), a, write, columns(z, j, k));
}

template <class Real>
void BilinearMap<Real>::adjoint_input_many(std::span<const Real> weights, Index k, ConstMatrixView<Real> d,
                                           Write write, MatrixView<Real> g) const {
  for (Index j = 0; j < k; ++j) adjoint_input(part(weights, j, k), d, write, columns(g, j, k));
}

template <class Real>
void BilinearMap<Real>::add_adjoint_weight_many(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Index k,
                                                std::span<Real> weights) const {
  for (Index j = 0; j < k; ++j) adjoint_weight(columns(d, j, k), a, Write::add, part(weights, j, k));
}

template <class Real>
void BilinearMap<Real>::add_adjoint_weight_of_many(ConstMatrixView<Real> d, ConstMatrixView<Real> a, Index k,
                                                   std::span<Real> weights) const {
  for (Index j = 0; j < k; ++j) adjoint_weight(d, columns(a, j, k), Write::add, part(weights, j, k));
}

template <class Real>
std::unique_ptr<BilinearMap<Real>> make_bilinear_map(const Layer& layer) {
  switch (layer.kind) {
    case LayerKind::dense:
      return std::make_unique<Dense<Real>>(layer.in, layer.out);
  }
  throw std::logic_error("make_bilinear_map: unknown kind of layer");
}

template class BilinearMap<double>;
template class BilinearMap<float>;
template std::unique_ptr<BilinearMap<double>> make_bilinear_map<double>(const Layer&);
template std::unique_ptr<BilinearMap<float>> make_bilinear_map<float>(const Layer&);

}  // namespace dualscape::nn
