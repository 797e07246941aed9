#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dualscape/study/plan.hpp"
#include "dualscape/study/run_folder.hpp"

namespace dualscape::study {

/// How a run of a study stands; the words are those of study.h5.
enum class RunState { waiting, running, interrupted, failed, done };
std::string_view name_of(RunState state);

/// A study is a folder: deck.original, deck.resolved, log, study.h5, lock, and its runs' folders under runs/.
/// Not collective: one rank uses it alone.
class StudyFolder {
 public:
  explicit StudyFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path deck_original() const { return path_ / "deck.original"; }
  std::filesystem::path deck_resolved() const { return path_ / "deck.resolved"; }
  std::filesystem::path log() const { return path_ / "log"; }
  std::filesystem::path collected() const { return path_ / "study.h5"; }
  std::filesystem::path lock_file() const { return path_ / "lock"; }
  std::filesystem::path collect_lock_file() const { return path_ / "lock.collect"; }
  std::filesystem::path runs() const { return path_ / "runs"; }
  /// Relative to the study's folder: "runs/00012".
  static std::filesystem::path run_name(Index run);
  RunFolder run(Index run) const { return RunFolder(path_ / run_name(run)); }

  /// Whether a study of this deck may use the folder, touching nothing. Throws UsageError when it holds a
  /// study and neither `resume` nor `force` is given, or the study of a different deck to be resumed.
  void check(const std::string& deck_resolved, bool resume, bool force) const;
  /// Makes the locked folder ready and writes the decks that are not there; `force` removes all runs.
  void prepare(const std::string& deck_original, const std::string& deck_resolved, bool force) const;
  /// The plan of the study in the folder. Throws DataError when there is none.
  Plan plan() const;

  struct Standing {
    RunState state = RunState::waiting;
    std::string reason;  ///< why a run failed or was interrupted
  };
  /// How a run stands. One that says it is running while nobody holds its folder was killed.
  Standing standing(Index run) const;

 private:
  std::filesystem::path path_;
};

/// Whether to wait for a lock that another process has.
enum class Wait { no, yes };

/// An advisory lock on a file of its own, for something short; ends with the process, however that ends.
class FileLock {
 public:
  /// Throws ComputationError when the file cannot be written.
  FileLock(const std::filesystem::path& file, Wait wait);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// Whether this process has the lock, or the file system has none.
  bool taken() const { return taken_; }

 private:
  int descriptor_;
  bool taken_ = false;
};

/// Keeps studies apart that would work on the same runs: the whole study is for one alone, parts of it may go
/// side by side. An advisory lock on a file, which ends with the process, however that ends. Move-only.
class StudyLock {
 public:
  enum class Share { alone, with_other_parts };

  /// Throws UsageError, naming who has the folder, when it is not free.
  StudyLock(const StudyFolder& folder, Share share);
  ~StudyLock();
  StudyLock(StudyLock&& other) noexcept;
  StudyLock& operator=(StudyLock&&) = delete;
  StudyLock(const StudyLock&) = delete;
  StudyLock& operator=(const StudyLock&) = delete;

  /// Whether the file system has locks at all.
  bool holds() const { return holds_; }

 private:
  int descriptor_ = -1;
  bool holds_ = true;
};

}  // namespace dualscape::study
