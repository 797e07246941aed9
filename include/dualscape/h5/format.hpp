#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "dualscape/base/partition.hpp"

/// The layout of the files the program writes, as one table: writing checks against it, every dataset gets
/// its units and description from it, and the page inputs/FORMAT.md is made of it.
namespace dualscape::h5::format {

inline constexpr std::string_view result_filetype = "dualscape-result";
inline constexpr std::string_view checkpoint_filetype = "dualscape-checkpoint";
inline constexpr std::string_view study_filetype = "dualscape-study";

/// Major and minor version of the layout. A reader refuses a major version it does not know; entries may be
/// added under one major version, never renamed or given another meaning.
inline constexpr std::array<Index, 2> version = {1, 0};

/// `any`: integers, real numbers or texts.
enum class Type { group, real, integer, byte, flag, text, any };

/// One group, dataset or attribute.
struct Entry {
  /// "model/<layer>/weight", where a name in angle brackets stands for one name of the file. A group ends
  /// in "/"; an attribute follows "@": "loss@gap"; the file's own begin with it: "@seed".
  std::string_view path;
  Type type;
  /// Dimensions in letters, "m x M"; empty for a single value.
  std::string_view shape;
  /// "1" for a pure number; groups have none.
  std::string_view units;
  std::string_view description;
  /// When it is there; empty for always.
  std::string_view only_when = "";
};

/// Every entry of a result or a checkpoint, in the order of the page.
std::span<const Entry> entries();
/// Entries that are a study's alone.
std::span<const Entry> study_entries();

/// The entry of a dataset or group of this path (no "/" at either end), or nullptr. Those of a study's
/// collected numbers, scalars/... and arrays/..., are made of the result's.
const Entry* find(std::string_view path);
/// The entry of an attribute, or nullptr; the file itself is "/".
const Entry* find_attribute(std::string_view object, std::string_view name);

/// Number of dimensions of an entry.
int rank_of(const Entry& entry);

/// The page inputs/FORMAT.md.
std::string format_markdown();

}  // namespace dualscape::h5::format
