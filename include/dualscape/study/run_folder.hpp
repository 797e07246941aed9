#pragma once

#include <filesystem>
#include <string>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/error.hpp"

namespace dualscape::study {

/// How far the run in a folder has come; the first word of its `status` file.
enum class Progression { absent, running, done, interrupted, failed };

/// Keeps other runs out of a folder while it lives, on file systems that can; released with the process,
/// however that ends. Move-only.
class FolderLock {
 public:
  /// Throws UsageError when another run has the folder.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// A run is a folder: deck.original, deck.resolved, log, status, result.h5, and while it is under way the
/// checkpoints of its stages. Every file appears whole or not at all. Not collective: rank 0 uses it alone.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path result() const { return path_ / "result.h5"; }
  std::filesystem::path log() const { return path_ / "log"; }
  std::filesystem::path status() const { return path_ / "status"; }
  std::filesystem::path deck_original() const { return path_ / "deck.original"; }
  std::filesystem::path deck_resolved() const { return path_ / "deck.resolved"; }
  /// Weights, momentum and history, after the training or during it.
  std::filesystem::path training_checkpoint() const { return path_ / "training.h5"; }
  std::filesystem::path spectrum_checkpoint() const { return path_ / "spectrum.h5"; }

  /// What the status file says; a finished run whose result is gone counts as interrupted, a result without a
  /// status as done.
  Progression progression() const;

  /// Whether a run of this deck may use the folder, touching nothing. Throws UsageError when the folder holds
  /// a run and neither `resume` nor `force` is given, or a run of a different deck to be resumed.
  void check(const std::string& deck_resolved, bool resume, bool force) const;

  /// Makes the folder ready for a run and writes both decks; `force` removes what an earlier run left. Throws
  /// UsageError when another run is at work in it, ComputationError when it cannot be written.
  FolderLock open(const std::string& deck_original, const std::string& deck_resolved, bool force) const;

  /// Replaces the status file: the word of `progression`, then `message`.
  void set_status(Progression progression, const std::string& message) const;

  /// Removes the checkpoints, once the result holds everything.
  void remove_checkpoints() const;

 private:
  std::filesystem::path path_;
};

/// Writes a text file under a temporary name, flushes and renames it. Throws ComputationError.
void write_file(const std::filesystem::path& path, const std::string& text);
/// Throws DataError when the file cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace dualscape::study
