#pragma once

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <span>

#include "dualscape/base/durability.hpp"
#include "dualscape/base/partition.hpp"

namespace dualscape::h5 {

/// A file under its temporary name, "<path>.part", on the way to `path`. Unless finish() was reached, it is
/// removed at the end. Every failure is a ComputationError "cannot write '<path>': <reason>".
class PartFile {
 public:
  /// Creates the file, empty.
  explicit PartFile(std::filesystem::path path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& name() const { return part_; }

  /// Takes the disk space of the first `size` bytes, so that a full disk shows here.
  void reserve(Index size);
  /// Takes the disk space of the file as it is.
  void reserve_all();
  void write_at(Index offset, std::span<const std::byte> bytes);
  /// Appends the checksum of all that was written (seal.hpp).
  void seal();
  /// Waits until the file is stored, unless it may stay buffered, then gives it its name.
  void finish(Durability durability);

 private:
  [[noreturn]] void fail(int error) const;
  /// Fails with the reason in errno unless the call that was just made is `done`.
  void require(bool done) const;

  std::filesystem::path path_;
  std::filesystem::path part_;
  int descriptor_ = -1;
  bool finished_ = false;
  struct sigaction previous_ {};
};

}  // namespace dualscape::h5
