#include "dualscape/deck/codec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace dualscape::deck {

namespace {

struct ByteUnit {
  std::string_view name;
  std::uint64_t bytes;
};

constexpr std::array<ByteUnit, 9> byte_units = {{{"TiB", 1ULL << 40},
                                                 {"GiB", 1ULL << 30},
                                                 {"MiB", 1ULL << 20},
                                                 {"KiB", 1ULL << 10},
                                                 {"TB", 1'000'000'000'000},
                                                 {"GB", 1'000'000'000},
                                                 {"MB", 1'000'000},
                                                 {"kB", 1'000},
                                                 {"B", 1}}};

constexpr double largest_size = 9.2e18;

std::optional<std::uint64_t> parse_size(std::string_view text) {
  double number = 0;
  const auto* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  std::string_view unit(result.ptr, static_cast<std::size_t>(end - result.ptr));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  if (result.ec != std::errc()) return std::nullopt;
  for (const auto& known : byte_units) {
    if (known.name != unit) continue;
    const double bytes = number * static_cast<double>(known.bytes);
    if (!(bytes >= 0 && bytes <= largest_size)) return std::nullopt;
    return static_cast<std::uint64_t>(bytes);
  }
  return std::nullopt;
}

}  // namespace

Limits above(double low) {
  return {fmt::format("> {}", low), [low](double x) { return x > low; }};
}

Limits at_least(double low) {
  return {fmt::format(">= {}", low), [low](double x) { return x >= low; }};
}

Limits from_to(double low, double high) {
  return {fmt::format(">= {} and <= {}", low, high), [=](double x) { return x >= low && x <= high; }};
}

Limits from_to_below(double low, double high) {
  return {fmt::format(">= {} and < {}", low, high), [=](double x) { return x >= low && x < high; }};
}

Limits zero_or_power_of_two() {
  return {"0 or a power of two",
          [](double x) { return x == 0 || (x >= 1 && std::exp2(std::ilogb(x)) == x); }};
}

Input Input::child(const std::string& key, const Node& value) const {
  return {value, path.empty() ? key : path + "." + key, problems};
}

Input Input::item(std::size_t position, const Node& value) const {
  return {value, fmt::format("{}[{}]", path, position), problems, limits};
}

void Input::complain(const std::string& text) const {
  problems.add(node.origin, path, fmt::format("key '{}' {}", path, text));
}

void Input::expected(const std::string& what) const {
  problems.add(node.origin, path, fmt::format("key '{}': expected {}, found {}", path, what, node.words()));
}

bool Input::within_limits(double value, const std::string& shown) const {
  if (!limits.holds || limits.holds(value)) return true;
  complain(fmt::format("must be {}, found {}", limits.allowed, shown));
  return false;
}

std::optional<std::int64_t> read_integer(const Input& input, std::int64_t smallest, std::int64_t largest) {
  const auto* value = input.node.as<std::int64_t>();
  if (!value) {
    input.expected("an integer");
    return std::nullopt;
  }
  const auto shown = std::to_string(*value);
  if (!input.within_limits(static_cast<double>(*value), shown)) return std::nullopt;
  if (*value < smallest || *value > largest) {
    input.complain(*value < smallest ? fmt::format("must be >= {}, found {}", smallest, shown)
                                     : fmt::format("must be <= {}, found {}", largest, shown));
    return std::nullopt;
  }
  return *value;
}

std::optional<bool> Codec<bool>::read(const Input& input) {
  if (const auto* value = input.node.as<bool>()) return *value;
  input.expected("true or false");
  return std::nullopt;
}

std::optional<double> Codec<double>::read(const Input& input) {
  std::optional<double> value;
  if (const auto* number = input.node.as<double>()) value = *number;
  if (const auto* number = input.node.as<std::int64_t>()) value = static_cast<double>(*number);
  if (!value || !std::isfinite(*value)) {
    input.expected(value ? "a finite number" : "a number");
    return std::nullopt;
  }
  // A deck's own spelling: an integer stays one in the message.
  const auto shown = input.node.as<double>() ? toml_float(*value) : fmt::format("{:.0f}", *value);
  if (!input.within_limits(*value, shown)) return std::nullopt;
  return value;
}

std::optional<std::string> Codec<std::string>::read(const Input& input) {
  if (const auto* value = input.node.as<std::string>()) return *value;
  input.expected("a string");
  return std::nullopt;
}

std::optional<std::string> read_choice(const Input& input, const std::vector<std::string>& names) {
  const auto* value = input.node.as<std::string>();
  if (value && std::ranges::find(names, *value) != names.end()) return *value;
  const auto near = value ? did_you_mean(*value, names) : "";
  input.complain(fmt::format("must be one of: {}; found {}{}", fmt::join(names, ", "),
                             value ? toml_string(*value) : input.node.words(), near));
  return std::nullopt;
}

std::optional<AxisValue> Codec<AxisValue>::read(const Input& input) {
  if (const auto* value = input.node.as<bool>()) return *value;
  if (const auto* value = input.node.as<std::int64_t>()) return *value;
  if (const auto* value = input.node.as<double>()) return *value;
  if (const auto* value = input.node.as<std::string>()) return *value;
  input.expected("a boolean, an integer, a float or a string");
  return std::nullopt;
}

std::string Codec<AxisValue>::write(const AxisValue& value) {
  return std::visit([](const auto& v) { return Codec<std::decay_t<decltype(v)>>::write(v); }, value);
}

std::optional<std::vector<std::string>> OneOrMoreStrings::read(const Input& input) {
  if (const auto* value = input.node.as<std::string>()) return std::vector{*value};
  if (input.node.as<Node::List>()) return Codec<std::vector<std::string>>::read(input);
  input.expected("a string or a list of strings");
  return std::nullopt;
}

std::string OneOrMoreStrings::write(const std::vector<std::string>& values) {
  return values.size() == 1 ? toml_string(values.front()) : Codec<std::vector<std::string>>::write(values);
}

std::optional<std::optional<std::uint64_t>> ByteSize::read(const Input& input) {
  using Result = std::optional<std::optional<std::uint64_t>>;
  if (input.node.as<std::int64_t>())
    if (const auto bytes = read_integer(input, 0, std::numeric_limits<std::int64_t>::max()))
      return Result(static_cast<std::uint64_t>(*bytes));
  if (const auto* text = input.node.as<std::string>()) {
    if (*text == "auto") return Result(std::in_place, std::nullopt);
    if (const auto bytes = parse_size(*text)) return Result(*bytes);
  }
  if (!input.problems.failed(input.path))
    input.expected(
        "a size such as \"4 GiB\" (B, kB, KiB, MB, MiB, GB, GiB, TB, TiB), a number of bytes or \"auto\"");
  return std::nullopt;
}

std::string ByteSize::write(const std::optional<std::uint64_t>& bytes) {
  if (!bytes) return toml_string("auto");
  for (const auto& unit : byte_units)
    if (unit.name.ends_with("iB") && *bytes >= unit.bytes && *bytes % unit.bytes == 0)
      return toml_string(fmt::format("{} {}", *bytes / unit.bytes, unit.name));
  return std::to_string(*bytes);
}

}  // namespace dualscape::deck
