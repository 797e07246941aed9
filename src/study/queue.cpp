#include "dualscape/study/queue.hpp"

#include <algorithm>

namespace dualscape::study {

Queue::Queue(const Comm& comm, Index count) : count_(count) {
  const MPI_Aint size = comm.is_root() ? slots * static_cast<MPI_Aint>(sizeof(Index)) : 0;
  MPI_Win_allocate(size, sizeof(Index), MPI_INFO_NULL, comm.get(), &memory_, &window_);
  if (comm.is_root()) {
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window_);
    std::fill_n(memory_, static_cast<int>(slots), Index{0});
    MPI_Win_unlock(0, window_);
  }
  comm.barrier();
  MPI_Win_lock_all(MPI_MODE_NOCHECK, window_);
}

Queue::~Queue() {
  MPI_Win_unlock_all(window_);
  MPI_Win_free(&window_);
}

Index Queue::add(Slot slot, Index value) {
  Index before = 0;
  MPI_Fetch_and_op(&value, &before, MPI_INT64_T, 0, slot, MPI_SUM, window_);
  MPI_Win_flush(0, window_);
  return before;
}

std::optional<Index> Queue::take() {
  if (add(stopped, 0) != 0) return std::nullopt;
  const Index position = add(next, 1);
  return position < count_ ? std::optional(position) : std::nullopt;
}

Queue::Counts Queue::counts() {
  return {.done = add(done, 0),
          .failed = add(failed, 0),
          .weight = add(weight, 0),
          .stopped = add(stopped, 0) != 0};
}

void Queue::finish(bool good, Index weight_of_it) {
  add(good ? done : failed, 1);
  add(weight, weight_of_it);
}

bool Queue::due(Index now, Index interval) {
  const Index last = add(last_due, 0);
  if (now - last < interval) return false;
  // Of those who come at the same moment the first finds `last`. A compare-and-swap would say so as well, but
  // crashes in Open MPI 4.1 between ranks of one machine.
  if (add(last_due, now - last) == last) return true;
  add(last_due, last - now);
  return false;
}

void Queue::stop() {
  add(stopped, 1);
}

}  // namespace dualscape::study
