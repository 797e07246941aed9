#include <toml++/toml.h>

#include <sstream>

#include "dualscape/deck/node.hpp"
#include "dualscape/deck/problems.hpp"

namespace dualscape::deck {

namespace {

template <class Value>
Node::Other other(const char* what, const Value& value) {
  std::ostringstream text;
  text << "the " << what << " " << value.get();
  return {text.str()};
}

/// Turns the library's tree into ours. With `fixed`, every origin is that one instead of name and line.
class Converter {
 public:
  explicit Converter(std::string name) : name_(std::move(name)) {}
  explicit Converter(const Origin& fixed) : fixed_(&fixed) {}

  Node node(const toml::node& from) const {
    Node to{.value = false, .origin = origin(from.source())};
    if (const auto* b = from.as_boolean()) to.value = b->get();
    if (const auto* i = from.as_integer()) to.value = i->get();
    if (const auto* f = from.as_floating_point()) to.value = f->get();
    if (const auto* s = from.as_string()) to.value = s->get();
    if (const auto* date = from.as_date()) to.value = other("date", *date);
    if (const auto* time = from.as_time()) to.value = other("time", *time);
    if (const auto* moment = from.as_date_time()) to.value = other("date", *moment);
    if (const auto* array = from.as_array()) to.value = list(*array);
    if (const auto* table = from.as_table()) to.value = entries(*table);
    return to;
  }

 private:
  Node::List list(const toml::array& from) const {
    Node::List to;
    for (const auto& item : from) to.push_back(node(item));
    return to;
  }

  Node::Table entries(const toml::table& from) const {
    Node::Table to;
    for (const auto& [key, value] : from)
      to.push_back({std::string(key.str()), origin(key.source()), node(value)});
    return to;
  }

  Origin origin(const toml::source_region& source) const {
    return fixed_ ? *fixed_ : Origin{name_, static_cast<int>(source.begin.line)};
  }

  std::string name_;
  const Origin* fixed_ = nullptr;
};

}  // namespace

Node parse_toml(std::string_view text, const std::string& name) {
  try {
    return Converter(name).node(toml::parse(text));
  } catch (const toml::parse_error& error) {
    const Origin where{name, static_cast<int>(error.source().begin.line)};
    throw DeckError({{where, std::string(error.description())}});
  }
}

std::optional<Node> parse_toml_value(std::string_view text, const Origin& origin) {
  try {
    const toml::table table = toml::parse("value = " + std::string(text));
    // A line break in `text` could smuggle in further keys.
    if (table.size() != 1 || !table.contains("value")) return std::nullopt;
    return Converter(origin).node(*table.get("value"));
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

}  // namespace dualscape::deck
