#include "dualscape/deck/reference.hpp"

#include <fmt/format.h>

#include "dualscape/deck/schema.hpp"

namespace dualscape::deck {

namespace {

using Kind = Description::Kind;

struct Row {
  std::string name;  ///< relative to its section
  const Description* key;
};

/// A heading with its keys: the deck itself, a table, or a list of tables. Tables inside a table are rows of
/// it ("weight_decay.kind"); lists inside are a row and a section of their own.
struct Section {
  std::string name;
  const Description* table;
  std::vector<Row> rows;
};

void collect(const Description& table, const std::string& path, std::vector<Section>& sections);

void add_rows(const Description& table, const std::string& prefix, Section& section,
              std::vector<const Description*>& lists) {
  for (const auto& child : table.children) {
    section.rows.push_back({prefix + child.name, &child});
    if (child.kind == Kind::table) add_rows(child, prefix + child.name + ".", section, lists);
    if (child.kind == Kind::list) lists.push_back(&child);
  }
}

void collect(const Description& table, const std::string& path, std::vector<Section>& sections) {
  Section section{path, &table, {}};
  std::vector<const Description*> lists;
  add_rows(table, "", section, lists);
  sections.push_back(std::move(section));
  for (const auto* list : lists) collect(*list, path + "." + list->name, sections);
}

std::vector<Section> sections() {
  const auto& deck = schema().description();
  std::vector<Section> all(1, Section{"", &deck, {}});
  for (const auto& child : deck.children) {
    if (child.kind == Kind::value)
      all.front().rows.push_back({child.name, &child});
    else
      collect(child, child.name, all);
  }
  return all;
}

std::string type_of(const Description& key) {
  if (key.kind == Kind::value) return key.type;
  return key.kind == Kind::table ? "table" : "list of tables";
}

std::string allowed_of(const Description& key) {
  std::string names;
  for (const auto& choice : key.choices)
    names += (names.empty() ? "" : ", ") + fmt::format("`{}`", choice.name);
  return names.empty() ? key.allowed : names;
}

std::string default_of(const Description& key) {
  if (key.required) return "required";
  if (key.kind == Kind::list) return "`[]`";
  if (key.kind == Kind::table) return "";
  return key.default_text.empty() ? "unset" : "`" + key.default_text + "`";
}

/// A '|' would end the cell.
std::string cell(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '|' ? std::string("\\|") : std::string(1, c);
  return safe;
}

std::string heading(const Section& section) {
  if (section.name.empty()) return "## Top level\n\nThese keys stand before the first table.\n";
  const bool list = section.table->kind == Kind::list;
  return fmt::format("\n## {}{}{}{}\n\n{}\n", list ? "Entries of `" : "`[", section.name, list ? "`" : "]`",
                     section.table->optional ? " (optional)" : "", section.table->help);
}

std::string json_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += std::string("\\") + c;
    else
      quoted += code < 0x20 ? fmt::format("\\u{:04x}", code) : std::string(1, c);
  }
  return quoted + "\"";
}

template <class Items, class Print>
std::string json_list(const Items& items, const std::string& indent, Print print) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "\n" : ",\n") + indent + "  " + print(item);
  return text.empty() ? "[]" : "[" + text + "\n" + indent + "]";
}

std::string json_choice(const ChoiceText& choice) {
  return fmt::format(R"({{"name": {}, "help": {}}})", json_string(choice.name), json_string(choice.help));
}

std::string json_row(const Row& row) {
  const auto& key = *row.key;
  const bool valued = key.kind == Kind::value && !key.default_text.empty();
  return fmt::format(
      R"({{"key": {}, "type": {}, "required": {}, "default": {}, "allowed": {}, "unit": {}, "help": {}, "choices": {}}})",
      json_string(row.name), json_string(type_of(key)), key.required,
      valued ? json_string(key.default_text) : "null", json_string(key.allowed), json_string(key.unit),
      json_string(key.help), json_list(key.choices, "        ", json_choice));
}

std::string json_section(const Section& section) {
  return fmt::format(
      R"({{"name": {}, "form": {}, "optional": {}, "help": {}, "keys": {}}})", json_string(section.name),
      json_string(section.table->kind == Kind::list ? "list of tables" : "table"), section.table->optional,
      json_string(section.table->help), json_list(section.rows, "      ", json_row));
}

}  // namespace

std::string reference_markdown() {
  std::string page =
      "# The deck\n\n"
      "Every key of a deck, printed by `dualscape schema`: do not edit this page by hand. A deck is a TOML "
      "file. "
      "Keys without a value in the deck take their default; unknown keys are errors. `--set "
      "section.key=value` "
      "overrides a key on the command line, and the run folder's `deck.resolved` shows every value that "
      "counted.\n\n";
  for (const auto& section : sections()) {
    page += heading(section);
    page += "\n| key | type | default | allowed | unit | help |\n| --- | --- | --- | --- | --- | --- |\n";
    for (const auto& [name, key] : section.rows)
      page += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", name, type_of(*key), default_of(*key),
                          cell(allowed_of(*key)), key->unit, cell(key->help));
    for (const auto& [name, key] : section.rows) {
      if (key->choices.empty()) continue;
      page += fmt::format("\n`{}`:\n\n", name);
      for (const auto& choice : key->choices) page += fmt::format("- `{}`: {}\n", choice.name, choice.help);
    }
  }
  return page;
}

std::string reference_json() {
  return "{\"tables\": " + json_list(sections(), "  ", json_section) + "}\n";
}

}  // namespace dualscape::deck
