#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/deck/codec.hpp"

/// Tables of a deck bound to structures: each key names its member, limits, unit and help once; reading,
/// writing, defaults and the reference pages all follow from that.
namespace dualscape::deck {

/// What a user may know about a key or a table; the reference pages are printed from this.
struct Description {
  enum class Kind { value, table, list };

  Kind kind = Kind::value;
  std::string name = {};
  std::string help = {};
  std::string type = {};
  std::string default_text = {};  ///< as TOML; empty: required or unset
  std::string allowed = {};
  std::string unit = {};
  bool required = false;
  bool optional = false;  ///< a table whose absence means something
  std::vector<ChoiceText> choices = {};
  std::vector<Description> children = {};  ///< keys of a table, or of the tables of a list

  const Description* child(std::string_view key) const;
};

/// The description of the key `path` ("training.batch_size", "network.layers.0.units"), or nothing.
const Description* find_key(const Description& root, std::string_view path);

/// "; did you mean 'training.batch_size'?" for a path that is no key, or nothing when no key is close.
std::string did_you_mean_path(const Description& root, std::string_view path);

/// What a key needs besides its name and its member.
struct Key {
  std::string help;
  Limits limits = {};
  std::string unit = "";
  bool required = false;
};

/// Complains about every key inside `input` that `description` does not know. `root`: the whole deck's
/// description, for keys that stand in the wrong table.
void report_unknown_keys(const Input& input, const Description& description, const Description& root);

/// A table of the deck as a T. Keys are read, written and described in the order in which they were added.
template <class T>
class Table {
 public:
  /// A value; `As` replaces the codec of the member's type.
  template <class As = void, class Member>
  Table& key(const std::string& name, Member T::*member, Key about) {
    using Chosen = std::conditional_t<std::is_void_v<As>, Codec<Member>, As>;
    Description text{.name = name, .help = about.help, .type = Chosen::type(), .unit = about.unit};
    text.allowed = about.limits.allowed;
    text.required = about.required;
    if (!about.required) text.default_text = Chosen::write(T{}.*member);
    if constexpr (requires { Chosen::choices(); }) text.choices = Chosen::choices();
    const auto read = [member, limits = about.limits](Input input, T& out) {
      input.limits = limits;
      if (auto value = Chosen::read(input)) out.*member = std::move(*value);
    };
    const auto write = [member](const T& from) { return Chosen::write(from.*member); };
    return add(std::move(text), {read, write, {}});
  }

  /// A table that always has its values: where it is missing, its defaults hold.
  template <class Member>
  Table& table(const std::string& name, Member T::*member, const Table<Member>& keys,
               const std::string& help) {
    const auto read = [=](const Input& input, T& out) { keys.read(input, out.*member); };
    const auto lines = [=](const T& from) { return std::optional(keys.lines(from.*member)); };
    const auto write = [=](const T& from) { return keys.write(from.*member); };
    return add(described(Description::Kind::table, name, keys, help), {read, write, lines});
  }

  /// A table whose absence means something.
  template <class Member>
  Table& table(const std::string& name, std::optional<Member> T::*member, const Table<Member>& keys,
               const std::string& help) {
    auto text = described(Description::Kind::table, name, keys, help);
    text.optional = true;
    const auto read = [=](const Input& input, T& out) { keys.read(input, (out.*member).emplace()); };
    const auto lines = [=](const T& from) {
      return from.*member ? std::optional(keys.lines(*(from.*member))) : std::nullopt;
    };
    const auto write = [=](const T& from) { return from.*member ? keys.write(*(from.*member)) : ""; };
    return add(std::move(text), {read, write, lines});
  }

  /// A list of tables. They are read as `Form`s, which `convert` turns into items (nothing after a complaint)
  /// and `form_of` back.
  template <class Form, class Item>
  Table& list(const std::string& name, std::vector<Item> T::*member, const Table<Form>& keys,
              const std::string& help, bool required,
              std::function<std::optional<Item>(const Form&, const Input&)> convert,
              std::function<Form(const Item&)> form_of) {
    auto text = described(Description::Kind::list, name, keys, help);
    text.required = required;
    const auto read = [=](const Input& input, T& out) {
      const auto* tables = input.node.as<Node::List>();
      if (!tables) return input.expected("a list of tables");
      for (std::size_t i = 0; i < tables->size(); ++i) {
        const auto at = input.item(i, (*tables)[i]);
        Form form;
        keys.read(at, form);
        if (auto item = convert(form, at)) (out.*member).push_back(std::move(*item));
      }
    };
    const auto write = [=](const T& from) {
      std::string items;
      for (const auto& item : from.*member) items += "  " + keys.write(form_of(item)) + ",\n";
      return items.empty() ? "[]" : "[\n" + items + "]";
    };
    return add(std::move(text), {read, write, {}});
  }
  template <class Item>
  Table& list(const std::string& name, std::vector<Item> T::*member, const Table<Item>& keys,
              const std::string& help, bool required = false) {
    return list<Item, Item>(
        name, member, keys, help, required,
        [](const Item& item, const Input&) { return std::optional(item); },
        [](const Item& item) { return item; });
  }

  /// Reads what stands in `input` into `out`, complaining about missing and wrong values.
  void read(const Input& input, T& out) const {
    if (!input.node.as<Node::Table>()) return input.expected("a table");
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const auto& text = description_.children[i];
      const Node empty{Node::Table{}, input.node.origin};
      const Node* node = input.node.find(text.name);
      if (node)
        fields_[i].read(input.child(text.name, *node), out);
      else if (text.required)
        input.child(text.name, empty).complain("is required");
      else if (text.kind == Description::Kind::table && !text.optional)
        fields_[i].read(input.child(text.name, empty), out);
    }
  }

  /// An inline table: `{ kind = "none", strength = 0.0 }`.
  std::string write(const T& from) const {
    std::string text;
    for (std::size_t i = 0; i < fields_.size(); ++i)
      if (const auto value = fields_[i].write(from); !value.empty())
        text += (text.empty() ? "" : ", ") + description_.children[i].name + " = " + value;
    return "{ " + text + " }";
  }

  /// One `key = value` a line.
  std::string lines(const T& from) const {
    std::string text;
    for (std::size_t i = 0; i < fields_.size(); ++i)
      if (const auto value = fields_[i].write(from); !value.empty())
        text += description_.children[i].name + " = " + value + "\n";
    return text;
  }

  /// A whole document: the values as lines, then each table under its header.
  std::string document(const T& from) const {
    std::string values;
    std::string tables;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const auto& name = description_.children[i].name;
      if (!fields_[i].lines)
        values += name + " = " + fields_[i].write(from) + "\n";
      else if (const auto inside = fields_[i].lines(from))
        tables += "\n[" + name + "]\n" + *inside;
    }
    return values + tables;
  }

  const Description& description() const { return description_; }

 private:
  struct Field {
    std::function<void(const Input&, T&)> read;
    std::function<std::string(const T&)> write;
    std::function<std::optional<std::string>(const T&)> lines;  ///< of a table only; nothing: it is absent
  };

  template <class Keys>
  static Description described(Description::Kind kind, const std::string& name, const Keys& keys,
                               const std::string& help) {
    Description text = keys.description();
    text.kind = kind;
    text.name = name;
    text.help = help;
    return text;
  }

  Table& add(Description description, Field field) {
    description_.children.push_back(std::move(description));
    fields_.push_back(std::move(field));
    return *this;
  }

  std::vector<Field> fields_;  ///< beside description_.children
  Description description_{.kind = Description::Kind::table};
};

}  // namespace dualscape::deck
