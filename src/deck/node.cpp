#include "dualscape/deck/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace dualscape::deck {

namespace {

std::optional<std::size_t> position(const std::string& text) {
  std::size_t value = 0;
  const auto* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

const Node* step(const Node& node, const std::string& name) {
  if (const auto* list = node.as<Node::List>()) {
    const auto at = position(name);
    return at && *at < list->size() ? &(*list)[*at] : nullptr;
  }
  return node.find(name);
}

/// The child `name` of a table (created when missing) or of a list; nothing, and `wrong` set, when there can
/// be none. `path`: what leads to `node`.
Node* child_for_writing(Node& node, const std::string& name, const std::string& path, const Origin& origin,
                        std::string& wrong) {
  if (auto* list = std::get_if<Node::List>(&node.value)) {
    const auto at = position(name);
    if (at && *at < list->size()) return &(*list)[*at];
    wrong = at ? fmt::format("key '{}' has no entry {}; its length is {}, counted from 0", path, *at,
                             list->size())
               : fmt::format("key '{}' is a list: expected a position (0, 1, ...), found '{}'", path, name);
    return nullptr;
  }
  auto* table = std::get_if<Node::Table>(&node.value);
  if (!table) {
    wrong = fmt::format("key '{}' is {}, there is no '{}' inside it", path, node.words(), name);
    return nullptr;
  }
  if (auto* found = node.find(name)) return found;
  table->push_back({name, origin, Node{Node::Table{}, origin}});
  return &table->back().value;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  const auto* table = as<Table>();
  if (!table) return nullptr;
  const auto found = std::ranges::find(*table, key, &Entry::key);
  return found == table->end() ? nullptr : &found->value;
}

Node* Node::find(std::string_view key) {
  return const_cast<Node*>(std::as_const(*this).find(key));
}

std::string Node::words() const {
  if (const auto* b = as<bool>()) return *b ? "the boolean true" : "the boolean false";
  if (const auto* i = as<std::int64_t>()) return fmt::format("the integer {}", *i);
  if (const auto* f = as<double>()) return "the float " + toml_float(*f);
  if (const auto* s = as<std::string>()) return "the string " + toml_string(*s);
  if (const auto* other = as<Other>()) return other->words;
  return as<List>() ? "a list" : "a table";
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> segments(1);
  for (const char c : path) {
    if (c == '.' || c == '[')
      segments.emplace_back();
    else if (c != ']')
      segments.back() += c;
  }
  return segments;
}

const Origin& nearest_origin(const Node& root, std::string_view path) {
  const Node* node = &root;
  for (const auto& name : split_path(path)) {
    const Node* next = step(*node, name);
    if (!next) break;
    node = next;
  }
  return node->origin;
}

std::optional<std::string> set_value(Node& root, std::string_view path, Node value) {
  const auto segments = split_path(path);
  if (std::ranges::find(segments, "") != segments.end()) return fmt::format("'{}' is not a key", path);
  Node* node = &root;
  std::string so_far;
  std::string wrong;
  for (const auto& name : segments) {
    node = child_for_writing(*node, name, so_far, value.origin, wrong);
    if (!node) return wrong;
    so_far += (so_far.empty() ? "" : ".") + name;
  }
  *node = std::move(value);
  return std::nullopt;
}

std::string toml_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\t':
        quoted += "\\t";
        break;
      case '\r':
        quoted += "\\r";
        break;
      default: {
        const auto code = static_cast<unsigned char>(c);
        quoted += code < 0x20 || code == 0x7f ? fmt::format("\\u{:04X}", code) : std::string(1, c);
      }
    }
  }
  return quoted + "\"";
}

std::string toml_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  // to_chars writes 1e-08
  const auto exponent = text.find('e');
  if (exponent != std::string::npos && text[exponent + 2] == '0') text.erase(exponent + 2, 1);
  if (exponent != std::string::npos && text[exponent + 1] == '+') text.erase(exponent + 1, 1);
  return text;
}

}  // namespace dualscape::deck
