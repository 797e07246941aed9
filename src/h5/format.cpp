#include "dualscape/h5/format.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format_study.hpp"

namespace dualscape::h5::format {
namespace {

/// Takes the first name off `path`.
std::string_view next_name(std::string_view& path) {
  const std::size_t slash = path.find('/');
  const std::string_view name = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  return name;
}

/// Whether `path` is an instance of `pattern`, in which <any> stands for one name.
bool matches(std::string_view path, std::string_view pattern) {
  while (!path.empty() && !pattern.empty()) {
    const auto name = next_name(path);
    const auto wanted = next_name(pattern);
    if (name.empty() || (!wanted.starts_with('<') && name != wanted)) return false;
  }
  return path.empty() && pattern.empty();
}

bool is_attribute(const Entry& entry) {
  return entry.path.find('@') != std::string_view::npos;
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::group:
      return "group";
    case Type::real:
      return "float64";
    case Type::integer:
      return "int64";
    case Type::byte:
      return "uint8";
    case Type::flag:
      return "uint8, 0 or 1";
    case Type::text:
      return "text";
    case Type::any:
      return "int64, float64 or text";
  }
  return "?";
}

constexpr std::string_view introduction = R"(# The result file

HDF5, and at the end the file of a study. This page is made from the table that dualscape itself writes by (`src/h5/format_table.cpp`).

- The attribute `filetype` of the file says what it is: `{}`, `{}` or `{}`; `version` is [{}, {}]. Under one major version entries are only added.
- Every dataset has the attributes `units` and `description`.
- A name in angle brackets stands for a name of the deck. An attribute is written `object@name`; the file's own begin with `@`.
- Dimensions: N selected training samples, T selected test samples, C classes, E evaluations, K pairs, M weights of a block, m computed eigenpairs, q clusters of them, v random vectors, s Lanczos steps, g points of a grid, t eigenvalues of the tangent kernel, `out` and `in` the widths of a layer, L libraries; in a study R runs, A axes, V values of an axis.
- Units: `loss` is the unit of the loss function (nats for cross-entropy), `weight` that of the weights, `operator` that of an operator's values (loss for `gap`, weight^2 for dual weights, loss^2/weight^2 for secants), `input` that of the samples in their source, `1` a pure number.
- Positions count from 0.
)";

std::string table_of(std::string_view title, std::span<const Entry> all, bool attributes) {
  std::string page = fmt::format("\n## {}\n\n| Name | Type | Shape | Units | What it is | When |\n", title);
  page += "| --- | --- | --- | --- | --- | --- |\n";
  for (const Entry& entry : all) {
    if (is_attribute(entry) != attributes) continue;
    std::string description(entry.description);
    // A bar would end the cell.
    for (std::size_t bar = description.find('|'); bar != std::string::npos;
         bar = description.find('|', bar + 2))
      description.replace(bar, 1, "\\|");
    page += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", entry.path, type_name(entry.type),
                        entry.shape.empty() ? "-" : entry.shape, entry.units.empty() ? "-" : entry.units,
                        description, entry.only_when.empty() ? "always" : entry.only_when);
  }
  return page;
}

}  // namespace

const Entry* find(std::string_view path) {
  if (path.ends_with('/')) return nullptr;
  for (const auto all : {entries(), study_entries()}) {
    const auto found = std::ranges::find_if(all, [&](const Entry& entry) {
      std::string_view pattern = entry.path;
      if (pattern.ends_with('/')) pattern.remove_suffix(1);
      return !is_attribute(entry) && matches(path, pattern);
    });
    if (found != all.end()) return &*found;
  }
  return find_collected(path);
}

const Entry* find_attribute(std::string_view object, std::string_view name) {
  for (const auto all : {entries(), study_entries()}) {
    const auto found = std::ranges::find_if(all, [&](const Entry& entry) {
      const std::size_t at = entry.path.find('@');
      if (at == std::string_view::npos || entry.path.substr(at + 1) != name) return false;
      const auto holder = entry.path.substr(0, at);
      return object == "/" ? holder.empty() : matches(object, holder);
    });
    if (found != all.end()) return &*found;
  }
  return nullptr;
}

int rank_of(const Entry& entry) {
  if (entry.shape.empty()) return 0;
  int rank = 1;
  for (std::size_t at = entry.shape.find(" x "); at != std::string_view::npos;
       at = entry.shape.find(" x ", at + 3))
    ++rank;
  return rank;
}

std::string format_markdown() {
  return fmt::format(introduction, result_filetype, checkpoint_filetype, study_filetype, version[0],
                     version[1]) +
         table_of("Groups and datasets", entries(), false) + table_of("Attributes", entries(), true) +
         table_of("Groups and datasets of a study", study_entries(), false) +
         table_of("Attributes of a study", study_entries(), true);
}

}  // namespace dualscape::h5::format
