#include "dualscape/base/kinds.hpp"

namespace dualscape {

namespace {

constexpr Choice<Source> sources[] = {
    {Source::fashion_mnist, "fashion-mnist",
     "Fashion-MNIST: 60000 training and 10000 test images of clothing, 28 x 28 grey levels, 10 classes"},
    {Source::mnist, "mnist",
     "MNIST: 60000 training and 10000 test images of handwritten digits, 28 x 28 grey levels, 10 classes"},
    {Source::cifar10, "cifar10",
     "CIFAR-10, binary version: 50000 training and 10000 test images, 3 x 32 x 32, 10 classes"},
    {Source::idx, "idx", "any data in the four idx files of MNIST, under the same file names"},
    {Source::hdf5, "hdf5",
     "one HDF5 file with data/train/x (N x ..., integers or floats), data/train/y (N, integers), data/test/x "
     "and data/test/y"},
};

constexpr Choice<Activation> activations[] = {
    {Activation::relu, "relu", "max(0, z), with derivative 0 at z = 0"},
    {Activation::tanh, "tanh", "hyperbolic tangent"},
    {Activation::sigmoid, "sigmoid", "1 / (1 + exp(-z))"},
    {Activation::softplus, "softplus", "log(1 + exp(z))"},
    {Activation::gelu, "gelu", "z Phi(z), Phi the normal distribution function (the erf form)"},
    {Activation::identity, "identity", "z: a linear layer"},
};

constexpr Choice<Loss> losses[] = {
    {Loss::cross_entropy, "cross-entropy", "log(sum_c exp(f_c)) - f_y, f the logits and y the label"},
    {Loss::mse, "mse", "mean over the outputs of (f - onehot(y))^2"},
    {Loss::softmax_mse, "softmax-mse", "mean over the outputs of (softmax(f) - onehot(y))^2"},
};

constexpr Choice<WeightDecayKind> weight_decays[] = {
    {WeightDecayKind::none, "none", "no penalty; strength and epochs have no effect"},
    {WeightDecayKind::norm, "norm",
     "loss + strength |all parameters|_2, not squared, for the first `epochs` epochs (the published study's "
     "form)"},
    {WeightDecayKind::l2, "l2",
     "loss + strength/2 |all parameters|_2^2 for the first `epochs` epochs (the usual form)"},
};

constexpr Choice<Curvature> curvatures[] = {
    {Curvature::hessian, "hessian", "second derivatives of the mean training loss; indefinite in general"},
    {Curvature::gauss_newton, "gauss-newton",
     "mean of J^T S J, J the Jacobian of the logits and S the loss's Hessian in the logits; positive "
     "semi-definite (for softmax-mse, S is replaced by its positive semi-definite part)"},
    {Curvature::fisher, "fisher",
     "Fisher information of the model's own labels: equals gauss-newton for cross-entropy and, with Gaussian "
     "noise of variance C/2 for C outputs, for mse; not defined for softmax-mse"},
    {Curvature::empirical_fisher, "empirical-fisher",
     "mean over the samples of grad grad^T with the true labels, not centred"},
    {Curvature::gradient_covariance, "gradient-covariance",
     "covariance of the samples' gradients: empirical-fisher less the mean gradient's g g^T"},
};

constexpr Choice<Which> ends[] = {
    {Which::largest, "largest", "the `count` algebraically largest eigenvalues"},
    {Which::smallest, "smallest", "the `count` algebraically smallest eigenvalues (the most negative ones)"},
    {Which::both, "both", "the `count` largest, then the `count` smallest"},
    {Which::all, "all",
     "a complete basis, by a dense solver: for blocks of at most numerics.dense_limit parameters"},
};

constexpr Choice<PairingKind> pairings[] = {
    {PairingKind::nearest_input, "nearest-input",
     "the nearest sample of the same class in Euclidean distance between inputs; a tie goes to the lowest "
     "index"},
    {PairingKind::nearest_activity, "nearest-activity",
     "the nearest sample of the same class in Euclidean distance between the activities that enter the "
     "layer"},
    {PairingKind::random, "random", "a sample of the same class drawn uniformly, by the seed"},
};

constexpr Choice<Anchor> anchors[] = {
    {Anchor::test, "test", "one pair for each test sample, with a training partner"},
    {Anchor::train, "train", "one pair for each training sample, with a test partner"},
};

constexpr Choice<DualKind> dual_kinds[] = {
    {DualKind::minimal, "minimal", "the smallest change of the weight: DW = r a^T / |a|^2, r = W (a' - a)"},
    {DualKind::metric, "metric",
     "the change of least tr(DW G DW^T), G the second moment of the activities that enter the layer over the "
     "training samples, not centred, plus ridge x tr(G) / in: DW = r b^T / (b.a), b = G^-1 a"},
    {DualKind::augmented, "augmented",
     "the smallest change of weight and bias: DW = r a^T / (|a|^2 + 1), Db = r / (|a|^2 + 1); "
     "`spectrum.block` must hold the layer's bias"},
};

constexpr Choice<SharpBy> sharp_choices[] = {
    {SharpBy::count, "count", "the first `sharp` directions by descending sigma_g"},
    {SharpBy::eigenvalue, "eigenvalue", "the first `sharp` directions by descending eigenvalue"},
    {SharpBy::share, "share",
     "as many directions by descending sigma_g as make `sharp_share` of the sum of sigma_g^2 over the whole "
     "space"},
};
constexpr Choice<DualOperator> dual_operators[] = {
    {DualOperator::gap, "gap",
     "Q = mean Dl e e^T, e = DW/|DW|: its eigenvectors carry the gap in as few directions as possible"},
    {DualOperator::dual_covariance, "dual-covariance", "covariance of the dual weights DW"},
    {DualOperator::dual_moment, "dual-moment", "second moment of the dual weights, not centred"},
    {DualOperator::secant_covariance, "secant-covariance",
     "covariance of the secant gradients (Dl/|DW|^2) DW"},
    {DualOperator::secant_moment, "secant-moment", "second moment of the secant gradients, not centred"},
};
constexpr Choice<Precision> precisions[] = {
    {Precision::double_, "double", "64-bit floating point"},
    {Precision::single, "single",
     "32-bit in the network's products, about twice as fast; vectors and sums stay 64-bit, and complete "
     "spectra and certificates of eigenpairs are made from 64-bit products"},
    {Precision::mixed, "mixed",
     "training and analysis in 64-bit; eigenpairs are solved for by 32-bit products and made those of the "
     "64-bit operator at the end"},
};

constexpr Choice<LayerKind> layer_kinds[] = {
    {LayerKind::dense, "dense", "fully connected: z = W a + b"},
};

constexpr Choice<StudyMode> study_modes[] = {
    {StudyMode::grid, "grid", "every combination of the axes' values; the last axis varies fastest"},
    {StudyMode::zip, "zip", "the axes move together: first values, second values, ...; all equally long"},
};

}  // namespace

template <>
std::span<const Choice<Source>> choices<Source>() {
  return sources;
}
template <>
std::span<const Choice<Activation>> choices<Activation>() {
  return activations;
}
template <>
std::span<const Choice<Loss>> choices<Loss>() {
  return losses;
}
template <>
std::span<const Choice<WeightDecayKind>> choices<WeightDecayKind>() {
  return weight_decays;
}
template <>
std::span<const Choice<Curvature>> choices<Curvature>() {
  return curvatures;
}
template <>
std::span<const Choice<Which>> choices<Which>() {
  return ends;
}
template <>
std::span<const Choice<PairingKind>> choices<PairingKind>() {
  return pairings;
}
template <>
std::span<const Choice<Anchor>> choices<Anchor>() {
  return anchors;
}
template <>
std::span<const Choice<DualKind>> choices<DualKind>() {
  return dual_kinds;
}
template <>
std::span<const Choice<SharpBy>> choices<SharpBy>() {
  return sharp_choices;
}
template <>
std::span<const Choice<DualOperator>> choices<DualOperator>() {
  return dual_operators;
}
template <>
std::span<const Choice<Precision>> choices<Precision>() {
  return precisions;
}
template <>
std::span<const Choice<LayerKind>> choices<LayerKind>() {
  return layer_kinds;
}
template <>
std::span<const Choice<StudyMode>> choices<StudyMode>() {
  return study_modes;
}

}  // namespace dualscape
