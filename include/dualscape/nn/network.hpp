#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/partition.hpp"

/// Feed-forward networks as compositions of bilinear layers: z^l = B(W^l, a^(l-1)) + b^l, a^l = phi(z^l),
/// logits f = z^L.
namespace dualscape::nn {

/// What a user says of a layer.
struct LayerSpec {
  LayerKind kind = LayerKind::dense;
  std::string name;
  Index units = 0;
  Activation activation = Activation::identity;
  bool bias = false;
  double dropout = 0.0;  ///< share of this layer's activities that training sets to zero
};

/// A layer in its place: shapes, and where its parameters lie in the network's vector.
struct Layer {
  LayerKind kind = LayerKind::dense;
  std::string name;
  Activation activation = Activation::identity;
  bool bias = false;
  double dropout = 0.0;
  Index in = 0;
  Index out = 0;
  Index weight_size = 0;
  Index weight_offset = 0;
  Index bias_offset = 0;  ///< = weight_offset + weight_size; `out` entries follow where the layer has a bias

  Index bias_size() const { return bias ? out : 0; }
};

/// The structure of a network without its parameters. The parameter vector concatenates the layers in order,
/// weight (row-major, out x in) before bias: this one layout serves derivatives, PETSc vectors and file
/// names.
class Network {
 public:
  /// `features`: entries of an input. Throws UsageError when no layer or an empty one is given.
  Network(Index features, const std::vector<LayerSpec>& layers, Loss loss);

  const std::vector<Layer>& layers() const { return layers_; }
  const Layer& layer(Index l) const { return layers_[static_cast<std::size_t>(l)]; }
  Index depth() const { return std::ssize(layers_); }
  Index features() const { return layers_.front().in; }
  Index outputs() const { return layers_.back().out; }
  Index parameters() const { return parameters_; }
  Loss loss() const { return loss_; }
  /// Position of a layer by name, or -1.
  Index find(const std::string& name) const;

  /// U(-1/sqrt(in), 1/sqrt(in)) x scale for weights and biases, from the seed alone.
  std::vector<double> initial_parameters(std::uint64_t seed, double scale) const;

 private:
  std::vector<Layer> layers_;
  Loss loss_;
  Index parameters_ = 0;
};

}  // namespace dualscape::nn
