#include "dualscape/study/queue.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace dualscape::study {
namespace {

void require(bool done, const char* what) {
  if (!done) throw std::system_error(errno, std::generic_category(), what);
}

int lock(int descriptor, int operation) {
  int result = -1;
  do result = ::flock(descriptor, operation);
  while (result != 0 && errno == EINTR);
  return result;
}

/// Whether all ranks share one memory. @note Collective
bool on_one_node(const Comm& comm) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(comm.get(), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int size = 0;
  MPI_Comm_size(node, &size);
  MPI_Comm_free(&node);
  return comm.all_true(size == comm.size());
}

}  // namespace

Queue::Queue(const Comm& comm, Index count, const std::filesystem::path& folder, Seat seat, Sharing sharing)
    : count_(count), seat_(seat), shared_(sharing == Sharing::when_possible) {
  if (shared_) open(comm, folder);
  if (!shared_) own_.next = seat_.number;
}

void Queue::open(const Comm& comm, const std::filesystem::path& folder) {
  const bool one_node = on_one_node(comm);
  const std::filesystem::path memory = "/dev/shm";
  std::string name;
  if (comm.is_root()) {
    std::error_code ignored;
    const bool in_memory = one_node && ::access(memory.c_str(), W_OK) == 0;
    std::string pattern = ((in_memory ? memory : folder) / "dualscape-queue-XXXXXX").string();
    descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (descriptor_ >= 0) {
      file_ = name = std::filesystem::absolute(pattern, ignored).string();
      const Counters zero;
      if (::pwrite(descriptor_, &zero, sizeof zero, 0) != sizeof zero) name.clear();
    }
  }
  comm.broadcast(name);
  if (!comm.is_root() && !name.empty()) descriptor_ = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
  shared_ = comm.all_true(descriptor_ >= 0 && !name.empty()) && locks_hold(comm);
  // Where all have it open, the name is not needed, and nothing is left behind by whoever is killed.
  if (one_node && !file_.empty()) {
    ::unlink(file_.c_str());
    file_.clear();
  }
}

/// Whether rank 0's lock keeps every other rank out. @note Collective
bool Queue::locks_hold(const Comm& comm) const {
  bool good = true;
  if (comm.is_root()) good = lock(descriptor_, LOCK_EX) == 0;
  comm.barrier();
  if (!comm.is_root()) good = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  good = comm.all_true(good);
  lock(descriptor_, LOCK_UN);
  return good;
}

Queue::~Queue() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!file_.empty()) ::unlink(file_.c_str());
}

template <class Change>
auto Queue::locked(Change&& change) {
  if (!shared_) return change(own_);
  Counters counters;
  require(lock(descriptor_, LOCK_EX) == 0, "the study's queue cannot be locked");
  require(::pread(descriptor_, &counters, sizeof counters, 0) == sizeof counters,
          "the study's queue cannot be read");
  const auto answer = change(counters);
  require(::pwrite(descriptor_, &counters, sizeof counters, 0) == sizeof counters,
          "the study's queue cannot be written");
  require(lock(descriptor_, LOCK_UN) == 0, "the study's queue cannot be unlocked");
  return answer;
}

std::optional<Index> Queue::take() {
  return locked([this](Counters& counters) -> std::optional<Index> {
    if (counters.stopped != 0 || counters.next >= count_) return std::nullopt;
    const Index position = counters.next;
    counters.next += shared_ ? 1 : seat_.of;
    return position;
  });
}

Queue::Counts Queue::counts() {
  return locked([](const Counters& counters) {
    return Counts{.done = counters.done,
                  .failed = counters.failed,
                  .weight = counters.weight,
                  .stopped = counters.stopped != 0};
  });
}

void Queue::finish(bool good, Index weight) {
  locked([&](Counters& counters) {
    ++(good ? counters.done : counters.failed);
    return counters.weight += weight;
  });
}

bool Queue::due(Index now, Index interval) {
  return locked([&](Counters& counters) {
    const bool is_due = now - counters.last_due >= interval;
    if (is_due) counters.last_due = now;
    return is_due;
  });
}

void Queue::stop() {
  locked([](Counters& counters) { return counters.stopped = 1; });
}

}  // namespace dualscape::study
