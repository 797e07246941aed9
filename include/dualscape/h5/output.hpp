#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/durability.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/h5/format.hpp"

namespace dualscape::h5 {

class PartFile;

using Attribute =
    std::variant<double, Index, bool, std::string, std::vector<Index>, std::vector<std::string>>;

/// Gives rows [first, first + count) of a distributed set of rows: on rank 0 `block` is count x cols and to
/// be filled, elsewhere it is 0 x cols. Called on every rank with the same arguments; when it throws, it must
/// throw on every rank. @note Collective
using RowProvider = std::function<void(Index first, Index count, Matrix<double>& block)>;

/// An HDF5 file to write: collect its contents, then commit() them at once. Rank 0 writes for all.
///
/// Every rank makes the same calls with the same paths and shapes; values count on rank 0 only and are copied
/// there. Paths, types and numbers of dimensions are checked against the format table, from which datasets
/// get their `units` and `description`: what the table does not know is a std::logic_error. Groups are made
/// as needed.
class OutputFile {
 public:
  /// Nothing is touched before commit(). `comm` must outlive this object.
  OutputFile(const Comm& comm, std::filesystem::path path, std::string_view filetype,
             std::array<Index, 2> version = format::version);

  /// A dataset of row-major values; an empty shape is a single value.
  void add(const std::string& path, std::span<const double> values, std::vector<Index> shape);
  void add(const std::string& path, std::span<const std::int64_t> values, std::vector<Index> shape);
  /// Stored as 64-bit integers.
  void add(const std::string& path, std::span<const std::int32_t> values, std::vector<Index> shape);
  /// Bytes or flags.
  void add(const std::string& path, std::span<const std::uint8_t> values, std::vector<Index> shape);
  void add(const std::string& path, std::span<const std::string> values, std::vector<Index> shape);
  /// A single text.
  void add(const std::string& path, std::string_view text);

  /// A rows x cols dataset whose rows are spread over the ranks: `provider` is asked for them in commit(), in
  /// order, in blocks of about 16 MiB.
  void add_rows(const std::string& path, Index rows, Index cols, RowProvider provider);

  /// An attribute of a group or dataset; "/" is the file itself.
  void attribute(const std::string& object, const std::string& name, Attribute value);

  /// Writes everything to `<path>.part`, whose whole size is reserved on the disk first, and renames that to
  /// `path` once it is safely stored, or at once when `durability` is buffered. On failure (a full disk, a
  /// missing folder) the .part is removed, an earlier file of that name is untouched, and every rank throws
  /// ComputationError "cannot write '<path>': <reason>". A sealed file ends with a checksum of its contents,
  /// for require_intact (seal.hpp). Called once. @note Collective
  void commit(Durability durability = Durability::flushed, bool sealed = false);

 private:
  struct Dataset {
    std::string path;
    const format::Entry* entry;
    format::Type type;
    std::vector<Index> shape;
    std::size_t element_size;
    std::vector<std::byte> values;  ///< on rank 0; empty when there is a provider
    RowProvider provider;
    Index offset = 0;  ///< where its values are in the file; rank 0, once the frame is written

    Index bytes() const;
  };
  struct NamedAttribute {
    std::string object;
    std::string name;
    Attribute value;
  };
  class Frame;

  Dataset& add_dataset(const std::string& path, format::Type type, std::vector<Index> shape,
                       std::size_t element_size);
  void add_values(const std::string& path, format::Type type, std::vector<Index> shape,
                  std::size_t element_size, std::span<const std::byte> values);
  void check_sizes() const;
  Index size_estimate() const;
  void write_rows(const Dataset& dataset, PartFile* part) const;

  const Comm& comm_;
  std::filesystem::path path_;
  std::vector<Dataset> datasets_;
  std::vector<NamedAttribute> attributes_;
};

}  // namespace dualscape::h5
