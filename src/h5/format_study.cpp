#include "format_study.hpp"

#include <list>
#include <map>
#include <string>

#include "dualscape/h5/format.hpp"

namespace dualscape::h5::format {
namespace {

using enum Type;

// clang-format off
constexpr Entry study_table[] = {
    {"axes/", group, "", "", "what varied", "a study"},
    {"axes@mode", text, "", "", "grid: every combination of values is a point, the last axis varying fastest; zip: the first values together, the second, ...", "a study"},
    {"axes@repeats", integer, "", "1", "runs of each point, which differ in their seed", "a study"},
    {"axes/keys", text, "A", "", "the keys that varied, in the deck's order", "a study"},
    {"axes/values/", group, "", "", "the values of each axis, by its key", "a study"},
    {"axes/values/<key>", any, "V", "as the key", "the values in their order; booleans are 0 and 1", "a study"},
    {"runs/", group, "", "", "one row a run, whatever became of it", "a study"},
    {"runs/number", integer, "R", "1", "number of the run: point * repeats + repeat", "a study"},
    {"runs/point", integer, "R", "1", "point of the axes, from 0", "a study"},
    {"runs/repeat", integer, "R", "1", "repeat of the point, from 0", "a study"},
    {"runs/seed", integer, "R", "1", "seed of the run: that of its deck for repeat 0, then derived; equal repeats of all points share it", "a study"},
    {"runs/status", text, "R", "", "done, failed, interrupted, running or waiting", "a study"},
    {"runs/reason", text, "R", "", "why a run failed or was interrupted; else empty", "a study"},
    {"runs/folder", text, "R", "", "the run's folder, relative to this file's", "a study"},
    {"runs/seconds", real, "R", "s", "wall-clock time of a finished run since its start or its last resumption; NaN: not finished", "a study"},
    {"runs/ranks", integer, "R", "1", "MPI ranks of a finished run; 0: not finished", "a study"},
    {"runs/parameters/", group, "", "", "the value of each axis, by its key", "a study"},
    {"runs/parameters/<key>", any, "R", "as the key", "the axis' value in each run", "a study"},
    {"scalars/", group, "", "", "scalars/<object>/<name>: the number `<object>@<name>` of each run's result, in units of that; NaN: the run has none", "a study"},
    {"scalars/training/", group, "", "", "the course of the training", "a study of decks with [training]"},
    {"scalars/training/epochs", real, "R", "epochs", "epochs trained; NaN: not finished", "a study of decks with [training]"},
    {"arrays/", group, "", "", "arrays/<path>: the datasets of m entries of each run's result, one row a run; beyond a run's own entries NaN, integers -1", "a study"},
};
// clang-format on

/// An entry of a result file turned into one of a study, made when it is first asked for.
const Entry* derived(const Entry& base, std::string_view prefix, Type type, std::string_view shape) {
  static std::map<std::pair<const Entry*, std::string_view>, Entry> known;
  static std::list<std::string> paths;
  const std::pair key(&base, prefix);
  if (const auto found = known.find(key); found != known.end()) return &found->second;
  std::string& path = paths.emplace_back(std::string(prefix) + std::string(base.path));
  if (const auto at = path.find('@'); at != std::string::npos) path[at] = '/';
  const Entry entry = {path, type, shape, base.units, base.description, "a study"};
  return &known.emplace(key, entry).first->second;
}

}  // namespace

std::span<const Entry> study_entries() {
  return study_table;
}

const Entry* find_collected(std::string_view path) {
  constexpr std::string_view scalars = "scalars/", arrays = "arrays/";
  if (path.starts_with(scalars)) {
    const auto rest = path.substr(scalars.size());
    const auto slash = rest.rfind('/');
    if (slash == std::string_view::npos) return nullptr;
    const Entry* base = find_attribute(rest.substr(0, slash), rest.substr(slash + 1));
    const bool number = base && base->shape.empty() && base->type != text;
    return number ? derived(*base, scalars, real, "R") : nullptr;
  }
  if (!path.starts_with(arrays)) return nullptr;
  const Entry* base = find(path.substr(arrays.size()));
  if (base == nullptr || base->shape != "m" || base->type == text) return nullptr;
  return derived(*base, arrays, base->type == real ? real : integer, "R x m");
}

}  // namespace dualscape::h5::format
