#include "dualscape/deck/reader.hpp"

#include <fmt/format.h>

#include "dualscape/deck/cross_checks.hpp"
#include "dualscape/deck/schema.hpp"

namespace dualscape::deck {

namespace {

/// A word that opens no list, table or quoted string can only be meant as a string.
bool may_be_bare(const std::string& text) {
  return text.empty() ||
         (text.find_first_of("[{\"'") != 0 && text.find_first_of("\r\n") == std::string::npos);
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

void apply_override(Node& root, const std::string& option, Problems& problems) {
  const Origin origin{"--set " + option};
  const auto equals = option.find('=');
  if (equals == std::string::npos) {
    problems.add(origin, "", "expected section.key=value");
    return;
  }
  const auto key = trimmed(option.substr(0, equals));
  const auto text = trimmed(option.substr(equals + 1));
  auto value = parse_toml_value(text, origin);
  if (!value && may_be_bare(text)) value = Node{text, origin};
  if (!value) {
    problems.add(origin, key, fmt::format("cannot read {} as a TOML value", text));
    return;
  }
  if (const auto wrong = set_value(root, key, std::move(*value))) problems.add(origin, key, *wrong);
}

void name_layers(std::vector<Layer>& layers) {
  for (std::size_t l = 0; l < layers.size(); ++l)
    if (layers[l].name.empty()) layers[l].name = fmt::format("{}{}", name_of(layers[l].type), l + 1);
}

/// The problem texts a value would cause where its axis puts it.
std::vector<std::string> faults_at(const std::string& key, const AxisValue& value, Node point) {
  // An origin no deck has tells this value's problems from the others.
  const Origin mark{"", -1};
  Problems problems;
  Node node = std::visit([&](const auto& v) { return Node{v, mark}; }, value);
  if (const auto wrong = set_value(point, key, std::move(node))) return {*wrong};
  Config scratch;
  schema().read({point, "", problems}, scratch);
  std::vector<std::string> texts;
  for (const auto& problem : problems.all())
    if (problem.origin.line == mark.line) texts.push_back(problem.text);
  return texts;
}

void remove_study(Node& root) {
  std::erase_if(std::get<Node::Table>(root.value), [](const Entry& entry) { return entry.key == "study"; });
}

void check_axes(const Study& study, const Node& root, Problems& problems) {
  if (problems.failed("study.axes")) return;
  Node without_study = root;
  remove_study(without_study);
  for (std::size_t a = 0; a < study.axes.size(); ++a)
    for (std::size_t i = 0; i < study.axes[a].values.size(); ++i) {
      const auto axis = fmt::format("study.axes[{}]", a);
      const auto& origin = nearest_origin(root, fmt::format("{}.values[{}]", axis, i));
      for (const auto& text : faults_at(study.axes[a].key, study.axes[a].values[i], without_study))
        problems.add(origin, axis, fmt::format("in {}: {}", axis, text));
    }
}

/// The document with the overrides in it.
Node parse_overridden(const std::string& text, const std::string& name,
                      const std::vector<std::string>& overrides, Problems& problems) {
  Node root = parse_toml(text, name);
  for (const auto& option : overrides) apply_override(root, option, problems);
  return root;
}

Config read_document(const Node& root, Problems& problems) {
  const Input input{root, "", problems};
  const auto& description = schema().description();
  report_unknown_keys(input, description, description);
  Config config;
  schema().read(input, config);
  name_layers(config.network.layers);
  if (config.study) check_axes(*config.study, root, problems);
  cross_check(config, root, problems);
  problems.throw_if_any();
  return config;
}

}  // namespace

Config read_deck(const std::string& text, const std::string& name,
                 const std::vector<std::string>& overrides) {
  Problems problems;
  const Node root = parse_overridden(text, name, overrides, problems);
  return read_document(root, problems);
}

PointReader::PointReader(const std::string& text, const std::string& name,
                         const std::vector<std::string>& overrides) {
  Problems problems;
  root_ = parse_overridden(text, name, overrides, problems);
  base_ = read_document(root_, problems);
  if (!base_.study) throw UsageError(name + ": there is no table [study], which says what varies");
  remove_study(root_);
}

Config PointReader::at(std::span<const AxisValue> values) const {
  Node root = root_;
  Problems problems;
  const Origin origin{"at " + point_text(*base_.study, values)};
  for (std::size_t a = 0; a < values.size(); ++a) {
    const auto& key = base_.study->axes[a].key;
    Node node = std::visit([&](const auto& value) { return Node{value, origin}; }, values[a]);
    if (const auto wrong = set_value(root, key, std::move(node))) problems.add(origin, key, *wrong);
  }
  try {
    return read_document(root, problems);
  } catch (const DeckError& error) {
    std::vector<Problem> all = error.problems();
    for (Problem& problem : all)
      if (problem.origin.line > 0) problem.text += fmt::format(" ({})", origin.name);
    throw DeckError(std::move(all));
  }
}

std::string value_text(const AxisValue& value) {
  struct Writer {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return toml_float(number); }
    std::string operator()(const std::string& text) const { return toml_string(text); }
  };
  return std::visit(Writer(), value);
}

std::string point_text(const Study& study, std::span<const AxisValue> values) {
  std::string text;
  for (std::size_t a = 0; a < values.size(); ++a)
    text += fmt::format("{}{} = {}", a == 0 ? "" : ", ", study.axes[a].key, value_text(values[a]));
  return text.empty() ? "the deck as it is" : text;
}

std::string resolved_deck(const Config& config) {
  return schema().document(config);
}

}  // namespace dualscape::deck
