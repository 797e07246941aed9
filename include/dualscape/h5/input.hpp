#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dualscape/base/partition.hpp"
#include "dualscape/h5/handle.hpp"

namespace dualscape::h5 {

/// What the elements of a dataset are.
enum class ElementType { byte, integer, real, text, other };

/// A dimension that may have any size, in InputFile::expect_shape.
constexpr Index any_size = -1;

/// An HDF5 file to read, opened by one rank alone: nothing here is collective, and in a parallel program only
/// rank 0 uses it. Every failure is a DataError that names the file and the object.
class InputFile {
 public:
  /// Throws when the file is missing or is no HDF5 file.
  explicit InputFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }

  /// Whether a group or dataset of this name is there, "model/dense1/weight" for instance.
  bool exists(const std::string& object) const;
  bool has_attribute(const std::string& object, const std::string& name) const;
  /// Names of the members of a group, in alphabetical order; "/" is the root.
  std::vector<std::string> children(const std::string& group) const;

  /// A group or a dataset by its path.
  struct Member {
    std::string path;
    bool is_group;
  };
  /// The group itself and everything in it, at any depth, in alphabetical order.
  std::vector<Member> members(const std::string& group) const;
  /// The attributes of a group or dataset that are single numbers.
  std::vector<std::pair<std::string, double>> scalar_attributes(const std::string& object) const;

  /// Throws unless the attribute `filetype` of the file is this one and the first entry of `version` is
  /// `major`.
  void expect_filetype(std::string_view filetype, Index major) const;

  /// Sizes of the dimensions; empty for a single value.
  std::vector<Index> shape(const std::string& dataset) const;
  ElementType element_type(const std::string& dataset) const;
  /// Throws unless the dataset has this shape; `any_size` fits every size.
  void expect_shape(const std::string& dataset, std::span<const Index> expected) const;

  /// All elements in row-major order, converted from any number type.
  std::vector<double> read_doubles(const std::string& dataset) const;
  /// As above; a real number that is not whole is refused, with its position.
  std::vector<Index> read_integers(const std::string& dataset) const;
  /// All texts of a dataset of texts.
  std::vector<std::string> read_texts(const std::string& dataset) const;
  /// The text of a dataset that holds one.
  std::string read_text(const std::string& dataset) const;

  /// Rows [first, first + count) of the first dimension into `out`, converted from any number type.
  void read_rows(const std::string& dataset, Index first, Index count, std::span<double> out) const;
  /// As above, from a dataset of bytes only.
  void read_rows(const std::string& dataset, Index first, Index count, std::span<std::uint8_t> out) const;

  /// Attributes of a group or dataset; "/" is the root.
  double attribute_real(const std::string& object, const std::string& name) const;
  Index attribute_integer(const std::string& object, const std::string& name) const;
  std::string attribute_text(const std::string& object, const std::string& name) const;
  std::vector<Index> attribute_integers(const std::string& object, const std::string& name) const;
  std::vector<std::string> attribute_texts(const std::string& object, const std::string& name) const;

 private:
  Handle open_dataset(const std::string& dataset) const;
  Handle open_attribute(const std::string& object, const std::string& name) const;
  std::string absent(const std::string& object, const std::string& kind) const;
  void expect_numbers(const std::string& dataset) const;
  void read_selected(const std::string& dataset, Index first, Index count, Id memory_type, std::size_t room,
                     void* out) const;
  std::string attribute_failure(const std::string& object, const std::string& name) const;
  template <class T>
  std::vector<T> attribute_numbers(const std::string& object, const std::string& name, Id memory_type) const;
  template <class T>
  T only(const std::vector<T>& values, const std::string& object, const std::string& name) const;

  std::filesystem::path path_;
  Handle file_;
};

}  // namespace dualscape::h5
