#pragma once

#include <optional>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/partition.hpp"

namespace dualscape::study {

/// A list of tasks that groups of ranks share: positions 0 .. count-1, each handed out once. A counter in a
/// window of rank 0's memory that the others add to by one-sided communication: nobody waits for anybody, and
/// no rank is set aside to serve.
///
/// Where the network cannot add without the help of rank 0, rank 0 gives it whenever it calls MPI; its stop
/// poll (base/signals.hpp) is to call `counts` while it works.
class Queue {
 public:
  /// @note Collective
  Queue(const Comm& comm, Index count);
  /// @note Collective
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

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
  enum Slot { next, done, failed, weight, stopped, last_due, slots };
  Index add(Slot slot, Index value);

  Index count_;
  MPI_Win window_ = MPI_WIN_NULL;
  Index* memory_ = nullptr;
};

}  // namespace dualscape::study
