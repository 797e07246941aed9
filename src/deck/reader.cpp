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

void check_axes(const Study& study, const Node& root, Problems& problems) {
  if (problems.failed("study.axes")) return;
  Node without_study = root;
  std::erase_if(std::get<Node::Table>(without_study.value),
                [](const Entry& entry) { return entry.key == "study"; });
  for (std::size_t a = 0; a < study.axes.size(); ++a)
    for (std::size_t i = 0; i < study.axes[a].values.size(); ++i) {
      const auto axis = fmt::format("study.axes[{}]", a);
      const auto& origin = nearest_origin(root, fmt::format("{}.values[{}]", axis, i));
      for (const auto& text : faults_at(study.axes[a].key, study.axes[a].values[i], without_study))
        problems.add(origin, axis, fmt::format("in {}: {}", axis, text));
    }
}

}  // namespace

Config read_deck(const std::string& text, const std::string& name,
                 const std::vector<std::string>& overrides) {
  Node root = parse_toml(text, name);
  Problems problems;
  for (const auto& option : overrides) apply_override(root, option, problems);
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

std::string resolved_deck(const Config& config) {
  return schema().document(config);
}

}  // namespace dualscape::deck
