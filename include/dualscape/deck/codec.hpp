#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/deck/problems.hpp"
#include "dualscape/deck/suggest.hpp"

/// How each type of value is read from a deck and written into one.
namespace dualscape::deck {

/// A bound on numbers, with the words that state it: "must be " + allowed.
struct Limits {
  std::string allowed;                ///< empty: no bound
  std::function<bool(double)> holds;  ///< empty: always
};

Limits above(double low);                       ///< > low
Limits at_least(double low);                    ///< >= low
Limits from_to(double low, double high);        ///< >= low and <= high
Limits from_to_below(double low, double high);  ///< >= low and < high
Limits zero_or_power_of_two();

/// A node on its way into a member: its key, what bounds it, and where complaints go.
struct Input {
  const Node& node;
  std::string path;
  Problems& problems;
  Limits limits = {};

  Input child(const std::string& key, const Node& value) const;
  Input item(std::size_t position, const Node& value) const;
  /// Complains "key 'path' `text`".
  void complain(const std::string& text) const;
  /// Complains "key 'path': expected `what`, found ...".
  void expected(const std::string& what) const;
  /// Whether the number is within the limits; complains when it is not.
  bool within_limits(double value, const std::string& shown) const;
};

/// One of the values a key may take.
struct ChoiceText {
  std::string name;
  std::string help;
};

/// Reading and writing a type: `type()`, its name in the reference; `read(input)`, the value or nothing after
/// a complaint; `write(value)`, TOML text that reads back as the value, empty where the key is to be left
/// out. An enumeration has `choices()` too.
template <class T>
struct Codec;

inline constexpr const char* integer_type = "integer";
inline constexpr const char* float_type = "float";

/// The integer in the node, when it is within [smallest, largest] and the limits.
std::optional<std::int64_t> read_integer(const Input& input, std::int64_t smallest, std::int64_t largest);

template <>
struct Codec<bool> {
  static std::string type() { return "boolean"; }
  static std::optional<bool> read(const Input& input);
  static std::string write(bool value) { return value ? "true" : "false"; }
};

template <class T>
requires std::is_integral_v<T>
struct Codec<T> {
  static std::string type() { return integer_type; }
  static std::optional<T> read(const Input& input) {
    using Stored = std::numeric_limits<std::int64_t>;
    using Wanted = std::numeric_limits<T>;
    constexpr auto smallest = std::in_range<std::int64_t>(Wanted::min()) ? Wanted::min() : Stored::min();
    constexpr auto largest = std::in_range<std::int64_t>(Wanted::max()) ? Wanted::max() : Stored::max();
    const auto value =
        read_integer(input, static_cast<std::int64_t>(smallest), static_cast<std::int64_t>(largest));
    if (!value) return std::nullopt;
    return static_cast<T>(*value);
  }
  static std::string write(T value) { return std::to_string(value); }
};

template <>
struct Codec<double> {
  static std::string type() { return float_type; }
  static std::optional<double> read(const Input& input);
  static std::string write(double value) { return toml_float(value); }
};

template <>
struct Codec<std::string> {
  static std::string type() { return "string"; }
  static std::optional<std::string> read(const Input& input);
  static std::string write(const std::string& value) { return toml_string(value); }
};

template <>
struct Codec<std::filesystem::path> {
  static std::string type() { return "path"; }
  static std::optional<std::filesystem::path> read(const Input& input) {
    return Codec<std::string>::read(input);
  }
  static std::string write(const std::filesystem::path& value) { return toml_string(value.string()); }
};

/// The name among `names` that stands in the node; complains with all of them and a near one.
std::optional<std::string> read_choice(const Input& input, const std::vector<std::string>& names);

template <class T>
requires std::is_enum_v<T>
struct Codec<T> {
  static std::string type() { return "string"; }
  static std::vector<ChoiceText> choices() {
    std::vector<ChoiceText> all;
    for (const auto& choice : dualscape::choices<T>())
      all.push_back({std::string(choice.name), std::string(choice.help)});
    return all;
  }
  static std::optional<T> read(const Input& input) {
    std::vector<std::string> names;
    for (const auto& choice : choices()) names.push_back(choice.name);
    const auto name = read_choice(input, names);
    return name ? parse_choice<T>(*name) : std::nullopt;
  }
  static std::string write(T value) { return toml_string(name_of(value)); }
};

/// A key that may be left out.
template <class T>
struct Codec<std::optional<T>> {
  static std::string type() { return Codec<T>::type(); }
  static auto choices() requires requires { Codec<T>::choices(); }
  { return Codec<T>::choices(); }
  static std::optional<std::optional<T>> read(const Input& input) {
    auto value = Codec<T>::read(input);
    if (!value) return std::nullopt;
    return std::optional<std::optional<T>>(std::in_place, std::move(value));
  }
  static std::string write(const std::optional<T>& value) { return value ? Codec<T>::write(*value) : ""; }
};

template <class T>
struct Codec<std::vector<T>> {
  static std::string type() { return "list of " + Codec<T>::type() + "s"; }
  static auto choices() requires requires { Codec<T>::choices(); }
  { return Codec<T>::choices(); }
  static std::optional<std::vector<T>> read(const Input& input) {
    const auto* list = input.node.as<Node::List>();
    if (!list) {
      input.expected("a list");
      return std::nullopt;
    }
    std::vector<T> values;
    for (std::size_t i = 0; i < list->size(); ++i)
      if (auto value = Codec<T>::read(input.item(i, (*list)[i]))) values.push_back(std::move(*value));
    if (values.size() < list->size()) return std::nullopt;
    return values;
  }
  static std::string write(const std::vector<T>& values) {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : ", ") + Codec<T>::write(value);
    return "[" + text + "]";
  }
};

/// A value of a study's axis.
template <>
struct Codec<AxisValue> {
  static std::string type() { return "value"; }
  static std::optional<AxisValue> read(const Input& input);
  static std::string write(const AxisValue& value);
};

/// For a list of strings: a single one may stand without brackets.
struct OneOrMoreStrings {
  static std::string type() { return "string or list of strings"; }
  static std::optional<std::vector<std::string>> read(const Input& input);
  static std::string write(const std::vector<std::string>& values);
};

/// For a number of bytes: "4 GiB", an integer, or "auto" (unset).
struct ByteSize {
  static std::string type() { return "string or integer"; }
  static std::optional<std::optional<std::uint64_t>> read(const Input& input);
  static std::string write(const std::optional<std::uint64_t>& bytes);
};

}  // namespace dualscape::deck
