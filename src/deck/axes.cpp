#include "dualscape/deck/axes.hpp"

#include <fmt/format.h>

#include <cmath>

namespace dualscape::deck {

namespace {

constexpr Index most_values = 10000;

/// 0.1 + 2 * 0.1 is meant to be 0.3.
double rounded(double value) {
  return std::stod(fmt::format("{:.12g}", value));
}

/// What is wrong with a range, or nothing.
std::optional<std::string> fault(const AxisForm& form) {
  const bool log = form.log.value_or(false);
  if (!form.from || !form.to) return "needs either 'values', or 'from' and 'to' with 'step' or 'count'";
  if (form.step.has_value() == form.count.has_value()) return "needs one of 'step' and 'count' for its range";
  if (log && form.step) return "has log = true, which takes 'count' and not 'step'";
  if (log && (*form.from <= 0 || *form.to <= 0)) return "has log = true, which takes 'from' and 'to' > 0";
  if (form.step && *form.step * (*form.to - *form.from) <= 0)
    return fmt::format("never gets from {} to {} in steps of {}", *form.from, *form.to, *form.step);
  const double points = form.step ? (*form.to - *form.from) / *form.step : static_cast<double>(*form.count);
  if (points > most_values) return fmt::format("has more than {} values", most_values);
  return std::nullopt;
}

std::vector<double> points(const AxisForm& form) {
  const double from = *form.from;
  const double to = *form.to;
  std::vector<double> values;
  if (form.step) {
    // The tolerance keeps the end of 0.1, 0.2, 0.3 in the range.
    const auto steps = static_cast<Index>(std::floor((to - from) / *form.step + 1e-9));
    for (Index i = 0; i <= steps; ++i) values.push_back(rounded(from + static_cast<double>(i) * *form.step));
    values.front() = from;
    return values;
  }
  for (Index i = 0; i < *form.count; ++i) {
    const double t = static_cast<double>(i) / static_cast<double>(*form.count - 1);
    values.push_back(
        rounded(form.log.value_or(false) ? from * std::pow(to / from, t) : from + t * (to - from)));
  }
  values.front() = from;
  values.back() = to;
  return values;
}

std::optional<std::vector<AxisValue>> integers(const std::vector<double>& values, const Input& input) {
  std::vector<AxisValue> whole;
  for (const double value : values) {
    const std::int64_t next = std::llround(value);
    if (!whole.empty() && std::get<std::int64_t>(whole.back()) == next) {
      input.complain(
          fmt::format("runs over integers, and rounding its {} values repeats {}", values.size(), next));
      return std::nullopt;
    }
    whole.push_back(next);
  }
  return whole;
}

std::optional<std::vector<AxisValue>> range_values(const AxisForm& form, const Input& input,
                                                   const Description& key) {
  if (const auto wrong = fault(form)) {
    input.complain(*wrong);
    return std::nullopt;
  }
  const auto values = points(form);
  if (key.type == integer_type) return integers(values, input);
  if (key.type == float_type) return std::vector<AxisValue>(values.begin(), values.end());
  input.complain(fmt::format("has a range, but '{}' is no number; list its 'values'", form.key));
  return std::nullopt;
}

}  // namespace

std::optional<Axis> expand_axis(const AxisForm& form, const Input& input, const Description& root) {
  if (input.problems.failed(input.path)) return std::nullopt;
  const auto* key = find_key(root, form.key);
  const auto at_key = [&](const std::string& text) {
    const auto path = input.path + ".key";
    input.problems.add(nearest_origin(input.node, "key"), path, fmt::format("key '{}' {}", path, text));
  };
  if (form.key == "study" || form.key.starts_with("study.")) {
    at_key(fmt::format("names '{}': a study does not vary itself", form.key));
  } else if (!key) {
    at_key(fmt::format("names '{}', which is no key of the deck{}", form.key,
                       did_you_mean_path(root, form.key)));
  } else if (key->kind != Description::Kind::value) {
    at_key(fmt::format("names '{}', which is a table; name a key inside it", form.key));
  } else if (form.values) {
    const bool range = form.from || form.to || form.step || form.count || form.log;
    if (range) input.complain("has both 'values' and a range; keep one of them");
    if (form.values->empty()) input.complain("must have at least one value");
    return Axis{form.key, *form.values};
  } else if (auto values = range_values(form, input, *key)) {
    return Axis{form.key, std::move(*values)};
  }
  return std::nullopt;
}

}  // namespace dualscape::deck
