#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// A TOML document as a plain tree that remembers where each part stood, so that every complaint can name its
/// line. The TOML library itself is seen by one source file only.
namespace dualscape::deck {

/// Where a key or a value was written.
struct Origin {
  std::string name;  ///< the deck's file name, or "--set section.key=value"
  int line = 0;      ///< from 1; 0: not in a file

  /// "file:line", or the name alone.
  std::string text() const { return line > 0 ? name + ":" + std::to_string(line) : name; }
};

struct Entry;

/// One value of the document.
struct Node {
  /// A value no key takes (a date or a time), in words.
  struct Other {
    std::string words;
  };
  using List = std::vector<Node>;
  using Table = std::vector<Entry>;

  std::variant<bool, std::int64_t, double, std::string, Other, List, Table> value;
  Origin origin;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// The value of `key` when this is a table that has it.
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  /// What stands here, as an error message says it: `the integer 3`, `the string "abc"`, `a table`.
  std::string words() const;
};

/// A key of a table with its value.
struct Entry {
  std::string key;
  Origin origin;  ///< of the key
  Node value;
};

/// "network.layers[1].units" (or "network.layers.1.units") as {"network", "layers", "1", "units"}.
std::vector<std::string> split_path(std::string_view path);

/// The origin of the value at `path` or, where there is none, of the closest thing that holds it.
const Origin& nearest_origin(const Node& root, std::string_view path);

/// Puts `value` at `path`, creating the tables on the way. Positions of a list must exist. Returns what is
/// wrong with the path, or nothing.
std::optional<std::string> set_value(Node& root, std::string_view path, Node value);

/// Reads a TOML document. Throws DeckError with the line and the reason when it is none.
Node parse_toml(std::string_view text, const std::string& name);

/// Reads one TOML value, e.g. `[1, 2]` or `"abc"`; all its origins are `origin`. Nothing when it is none.
std::optional<Node> parse_toml_value(std::string_view text, const Origin& origin);

/// `text` as a TOML basic string: in double quotes, with control characters escaped.
std::string toml_string(std::string_view text);
/// The shortest TOML float that reads back as `value`.
std::string toml_float(double value);

}  // namespace dualscape::deck
