#pragma once

#include "dualscape/deck/table.hpp"

/// Axes of a study.
namespace dualscape::deck {

/// An axis as the deck spells it: values, or a range of numbers.
struct AxisForm {
  std::string key;
  std::optional<std::vector<AxisValue>> values;
  std::optional<double> from;
  std::optional<double> to;
  std::optional<double> step;
  std::optional<Index> count;
  std::optional<bool> log;
};

/// The axis with its values listed; nothing after a complaint. `root`: the deck's keys, which tell whether
/// the axis runs over integers.
std::optional<Axis> expand_axis(const AxisForm& form, const Input& input, const Description& root);

}  // namespace dualscape::deck
