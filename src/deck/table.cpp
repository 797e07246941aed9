#include "dualscape/deck/table.hpp"

#include <fmt/format.h>

namespace dualscape::deck {

namespace {

using Kind = Description::Kind;

std::vector<std::string> names(const Description& table) {
  std::vector<std::string> all;
  for (const auto& child : table.children) all.push_back(child.name);
  return all;
}

/// Every key, or table, called `name`, as a path: "training.batch_size", "network.layers[i].units".
void find_everywhere(const Description& table, std::string_view name, const std::string& prefix,
                     std::vector<std::string>& found) {
  for (const auto& child : table.children) {
    const auto path = prefix + child.name;
    if (child.name == name) found.push_back(path);
    find_everywhere(child, name, path + (child.kind == Kind::list ? "[i]." : "."), found);
  }
}

std::string hint(const std::string& key, const Description& table, const Description& root) {
  const auto near = did_you_mean(key, names(table));
  if (!near.empty()) return near;
  std::vector<std::string> elsewhere;
  find_everywhere(root, key, "", elsewhere);
  return elsewhere.empty() ? "" : "; did you mean '" + elsewhere.front() + "'?";
}

void report_keys_of_table(const Input& input, const Description& table, const Description& root) {
  const auto* entries = input.node.as<Node::Table>();
  if (!entries) return;
  for (const auto& entry : *entries) {
    const auto inside = input.child(entry.key, entry.value);
    if (const auto* known = table.child(entry.key))
      report_unknown_keys(inside, *known, root);
    else
      input.problems.add(entry.origin, inside.path,
                         fmt::format("key '{}' is not known{}", inside.path, hint(entry.key, table, root)));
  }
}

}  // namespace

const Description* Description::child(std::string_view key) const {
  const auto found = std::ranges::find(children, key, &Description::name);
  return found == children.end() ? nullptr : &*found;
}

const Description* find_key(const Description& root, std::string_view path) {
  const Description* at = &root;
  bool in_list = false;  // the next segment is a position
  for (const auto& segment : split_path(path)) {
    if (in_list) {
      if (segment.empty() || segment.find_first_not_of("0123456789") != std::string::npos) return nullptr;
      in_list = false;
      continue;
    }
    at = at->child(segment);
    if (!at) return nullptr;
    in_list = at->kind == Kind::list;
  }
  return at;
}

std::string did_you_mean_path(const Description& root, std::string_view path) {
  const Description* at = &root;
  std::string corrected;
  bool in_list = false;
  const auto segments = split_path(path);
  for (const auto& segment : segments) {
    if (!in_list) {
      const auto near = at->child(segment) ? std::optional(segment) : suggestion(segment, names(*at));
      if (!near) break;
      at = at->child(*near);
      corrected += (corrected.empty() ? "" : ".") + *near;
    } else {
      corrected += "." + segment;
    }
    in_list = !in_list && at->kind == Kind::list;
  }
  if (find_key(root, corrected) && at->kind == Kind::value) return "; did you mean '" + corrected + "'?";
  std::vector<std::string> elsewhere;
  find_everywhere(root, segments.back(), "", elsewhere);
  return elsewhere.empty() ? "" : "; did you mean '" + elsewhere.front() + "'?";
}

void report_unknown_keys(const Input& input, const Description& description, const Description& root) {
  if (const auto* list = input.node.as<Node::List>(); list && description.kind == Kind::list)
    for (std::size_t i = 0; i < list->size(); ++i)
      report_keys_of_table(input.item(i, (*list)[i]), description, root);
  if (description.kind == Kind::table) report_keys_of_table(input, description, root);
}

}  // namespace dualscape::deck
