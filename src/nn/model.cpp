#include "dualscape/nn/model.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace dualscape::nn {

template <class Real>
Model<Real>::Model(const Network& network)
    : network_(network), parameters_(static_cast<std::size_t>(network.parameters())) {
  for (const Layer& layer : network_.layers()) maps_.push_back(make_bilinear_map<Real>(layer));
}

template <class Real>
void Model<Real>::set_parameters(std::span<const double> parameters) {
  if (parameters.size() != parameters_.size())
    throw std::logic_error("set_parameters: wrong number of parameters");
  std::ranges::transform(parameters, parameters_.begin(), [](double x) { return static_cast<Real>(x); });
}

template <class Real>
std::span<const Real> Model<Real>::weight(Index l) const {
  const Layer& layer = network_.layer(l);
  return parameters().subspan(static_cast<std::size_t>(layer.weight_offset),
                              static_cast<std::size_t>(layer.weight_size));
}

template <class Real>
std::span<const Real> Model<Real>::bias(Index l) const {
  const Layer& layer = network_.layer(l);
  return parameters().subspan(static_cast<std::size_t>(layer.bias_offset),
                              static_cast<std::size_t>(layer.bias_size()));
}

template <class Real>
Activities<Real> Model<Real>::make_activities(Index samples, bool with_inputs) const {
  Activities<Real> act;
  act.count = samples;
  for (const Layer& layer : network_.layers()) {
    act.a.emplace_back(act.a.empty() && !with_inputs ? 0 : samples, layer.in);
    act.z.emplace_back(samples, layer.out);
  }
  return act;
}

template <class Real>
void Model<Real>::forward_layer(Index l, ConstMatrixView<Real> a, MatrixView<Real> z) const {
  map(l).apply(weight(l), a, Write::replace, z);
  if (network_.layer(l).bias) add_bias<Real>(bias(l), z);
}

template <class Real>
void add_bias(std::span<const Real> bias, MatrixView<Real> z) {
  for (Index i = 0; i < z.rows; ++i) combine(z.row(i), bias, std::plus<>());
}

template <class Real>
void add_row_sums(std::type_identity_t<ConstMatrixView<Real>> d, std::span<Real> sums) {
  for (Index i = 0; i < d.rows; ++i) combine(sums, d.row(i), std::plus<>());
}

template class Model<double>;
template class Model<float>;
template void add_bias<double>(std::span<const double>, MatrixView<double>);
template void add_bias<float>(std::span<const float>, MatrixView<float>);
template void add_row_sums<double>(ConstMatrixView<double>, std::span<double>);
template void add_row_sums<float>(ConstMatrixView<float>, std::span<float>);

}  // namespace dualscape::nn
