#pragma once

#include <filesystem>
#include <optional>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/partition.hpp"

namespace dualscape::study {

/// A list of tasks that groups of ranks share: positions 0 .. count-1, each handed out once. The counters are
/// in a small file that whoever needs them locks for a moment: unlike messages to a rank or one-sided
/// communication, which most networks serve only while the target calls MPI, this waits for no rank that is
/// deep in its work, and sets no rank aside to serve. On one node the file is in memory.
///
/// Where nodes cannot lock a file together, the positions are dealt out in turn instead, and counts() knows
/// the own tasks only.
///
/// A failing system call is a std::system_error: it strikes a rank alone, and nothing but ending the program
/// is left.
class Queue {
 public:
  /// This rank's place among those who take tasks.
  struct Seat {
    Index number = 0;
    Index of = 1;
  };
  enum class Sharing { when_possible, never };

  /// `folder`: where the file may be, seen by all ranks. @note Collective
  Queue(const Comm& comm, Index count, const std::filesystem::path& folder, Seat seat,
        Sharing sharing = Sharing::when_possible);
  /// Not collective; the file goes with the queue of rank 0, when nobody needs it any more.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// Whether every task goes to whoever is free first.
  bool shared() const { return shared_; }

  /// The next position, or nothing when all are taken or the work is to stop.
  std::optional<Index> take();

  /// What has become of the tasks so far, all ranks together.
  struct Counts {
    Index done = 0;
    Index failed = 0;
    Index weight = 0;  ///< sum of the finished tasks' weights
    bool stopped = false;
  };
  Counts counts();
  /// Notes a finished task.
  void finish(bool good, Index weight);
  /// Whether `now` is at least `interval` after the last time this was true for anybody.
  bool due(Index now, Index interval);
  /// From now on nobody takes a task.
  void stop();

 private:
  struct Counters {
    Index next = 0;
    Index done = 0;
    Index failed = 0;
    Index weight = 0;
    Index last_due = 0;
    Index stopped = 0;
  };
  /// Runs `change` on the counters while nobody else does.
  template <class Change>
  auto locked(Change&& change);
  void open(const Comm& comm, const std::filesystem::path& folder);
  bool locks_hold(const Comm& comm) const;

  Index count_;
  Seat seat_;
  bool shared_;
  std::filesystem::path file_;  ///< to be removed at the end; empty: not by this rank
  int descriptor_ = -1;
  Counters own_;  ///< when not shared
};

}  // namespace dualscape::study
