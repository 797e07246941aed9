#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/durability.hpp"
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

  /// Whether somebody has the folder.
  static bool is_held(const std::filesystem::path& folder);

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
  /// Everything the result says about one analysed layer.
  std::filesystem::path duality_checkpoint(const std::string& layer) const {
    return path_ / fmt::format("{}{}.h5", duality_prefix, layer);
  }
  /// Where the pass over the pairs of a layer under way stands.
  std::filesystem::path pass_checkpoint() const { return path_ / "pass.h5"; }
  /// What is finished of the curvature's summary.
  std::filesystem::path summary_checkpoint() const { return path_ / "summary.h5"; }
  /// The state of an eigensolve under way.
  std::filesystem::path solve_checkpoint() const { return path_ / "eigensolve.h5"; }

  /// The status file: how far the run has come, and why it ended where it did not finish. A finished run
  /// whose result is gone counts as interrupted, a result without a status as done.
  struct Status {
    Progression progression = Progression::absent;
    std::string message;
  };
  Status read_status() const;
  Progression progression() const { return read_status().progression; }

  /// Why the result cannot be the one that was written: cut short, changed since, or no result at all;
  /// nothing when it is whole. Reads all of the file.
  std::optional<std::string> damage_of_result() const;

  /// Whether a run of this deck may use the folder, touching nothing. Throws UsageError when the folder holds
  /// a run and neither `resume` nor `force` is given, or a run of a different deck to be resumed.
  void check(const std::string& deck_resolved, bool resume, bool force) const;

  /// Makes the folder and keeps other runs out. Throws UsageError when another run is at work in it,
  /// ComputationError when it cannot be made.
  FolderLock lock() const;

  /// Makes the locked folder ready for a run and writes both decks; `force` removes what an earlier run left.
  /// Throws ComputationError when it cannot be written.
  void prepare(const std::string& deck_original, const std::string& deck_resolved, bool force,
               Durability durability) const;

  /// Replaces the status file: the word of `progression`, then `message`.
  void set_status(Progression progression, const std::string& message,
                  Durability durability = Durability::flushed) const;

  /// Removes the state of an eigensolve, once its outcome is stored.
  void remove_solve_checkpoint() const;
  void remove_pass_checkpoint() const;

  /// Removes the checkpoints, once the result holds everything.
  void remove_checkpoints() const;

 private:
  static constexpr std::string_view duality_prefix = "duality.";
  std::filesystem::path path_;
};

/// The first line in which two resolved decks differ, in words; nothing when they ask for the same work. The
/// place of the results and the ranks of a run do not count.
std::optional<std::string> difference_of_decks(const std::string& before, const std::string& now);

/// Writes a text file under a temporary name, flushes it if asked to and renames it. Throws ComputationError.
void write_file(const std::filesystem::path& path, const std::string& text,
                Durability durability = Durability::flushed);
/// Throws DataError when the file cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace dualscape::study
