#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// The choices a deck offers by name. Each enumeration has one table {value, name, help}; parsing, printing,
/// error texts and the reference pages all read it.
namespace dualscape {

template <class Enum>
struct Choice {
  Enum value;
  std::string_view name;
  std::string_view help;
};

enum class Source { fashion_mnist, mnist, cifar10, idx, hdf5 };
enum class Activation { relu, tanh, sigmoid, softplus, gelu, identity };
enum class Loss { cross_entropy, mse, softmax_mse };
enum class WeightDecayKind { none, norm, l2 };
enum class Curvature { hessian, gauss_newton, fisher, empirical_fisher, gradient_covariance };
enum class Which { largest, smallest, both, all };
enum class PairingKind { nearest_input, nearest_activity, random };
enum class Anchor { test, train };
enum class DualKind { minimal, metric, augmented };
enum class SharpBy { count, eigenvalue, share };
enum class DualOperator { gap, dual_covariance, dual_moment, secant_covariance, secant_moment };
enum class Precision { double_, single, mixed };
enum class LayerKind { dense };
enum class StudyMode { grid, zip };

/// The table of an enumeration.
template <class Enum>
std::span<const Choice<Enum>> choices();

template <>
std::span<const Choice<Source>> choices<Source>();
template <>
std::span<const Choice<Activation>> choices<Activation>();
template <>
std::span<const Choice<Loss>> choices<Loss>();
template <>
std::span<const Choice<WeightDecayKind>> choices<WeightDecayKind>();
template <>
std::span<const Choice<Curvature>> choices<Curvature>();
template <>
std::span<const Choice<Which>> choices<Which>();
template <>
std::span<const Choice<PairingKind>> choices<PairingKind>();
template <>
std::span<const Choice<Anchor>> choices<Anchor>();
template <>
std::span<const Choice<DualKind>> choices<DualKind>();
template <>
std::span<const Choice<SharpBy>> choices<SharpBy>();
template <>
std::span<const Choice<DualOperator>> choices<DualOperator>();
template <>
std::span<const Choice<Precision>> choices<Precision>();
template <>
std::span<const Choice<LayerKind>> choices<LayerKind>();
template <>
std::span<const Choice<StudyMode>> choices<StudyMode>();

template <class Enum>
std::string_view name_of(Enum value) {
  for (const auto& choice : choices<Enum>())
    if (choice.value == value) return choice.name;
  return "?";
}

template <class Enum>
std::optional<Enum> parse_choice(std::string_view name) {
  for (const auto& choice : choices<Enum>())
    if (choice.name == name) return choice.value;
  return std::nullopt;
}

}  // namespace dualscape
