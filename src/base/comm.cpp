#include "dualscape/base/comm.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "dualscape/base/error.hpp"
#include "dualscape/base/live_objects.hpp"

namespace dualscape {
namespace {

int alive_count = 0;

void count_alive(int change) noexcept {
  alive_count += change;
  count_live_object(change);
}

}  // namespace

Comm::Comm(MPI_Comm parent) {
  MPI_Comm_dup(parent, &comm_);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  count_alive(+1);
}

Comm::Comm(MPI_Comm owned, int) noexcept : comm_(owned) {
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  count_alive(+1);
}

Comm::~Comm() {
  free();
}

Comm::Comm(Comm&& other) noexcept
    : comm_(std::exchange(other.comm_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_) {}

Comm& Comm::operator=(Comm&& other) noexcept {
  if (this != &other) {
    free();
    comm_ = std::exchange(other.comm_, MPI_COMM_NULL);
    rank_ = other.rank_;
    size_ = other.size_;
  }
  return *this;
}

void Comm::free() noexcept {
  if (comm_ == MPI_COMM_NULL) return;
  // A library that was stopped half-way may have left attributes behind that cannot be removed any more: no
  // reason to end the program.
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_free(&comm_);
  count_alive(-1);
}

int Comm::alive() noexcept {
  return alive_count;
}

Comm Comm::split(int color) const {
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(comm_, color, rank_, &part);
  return Comm(part, 0);
}

void Comm::barrier() const {
  MPI_Barrier(comm_);
}

void Comm::broadcast_bytes(std::span<std::byte> bytes, int root) const {
  // MPI counts are int: longer messages go in pieces.
  constexpr std::size_t most = std::numeric_limits<int>::max();
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), most);
    MPI_Bcast(bytes.data(), static_cast<int>(piece), MPI_BYTE, root, comm_);
    bytes = bytes.subspan(piece);
  }
}

void Comm::broadcast(std::string& text, int root) const {
  text.resize(broadcast_value<std::uint64_t>(text.size(), root));
  broadcast(std::span<char>(text), root);
}

bool Comm::all_true(bool value) const {
  int flag = value ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &flag, 1, MPI_INT, MPI_LAND, comm_);
  return flag == 1;
}

void throw_collectively(const Comm& comm, std::exception_ptr error) {
  const int none = comm.size();
  int first = error ? comm.rank() : none;
  MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm.get());
  if (first == none) return;

  std::string message;
  ExitCode code = ExitCode::computation;
  if (comm.rank() == first) {
    try {
      std::rethrow_exception(error);
    } catch (const Error& known) {
      message = known.what();
      code = known.code();
    } catch (const std::bad_alloc&) {
      message = "out of memory on rank " + std::to_string(first);
    } catch (const std::exception& unknown) {
      message = unknown.what();
    } catch (...) {
      message = "unknown failure on rank " + std::to_string(first);
    }
  }
  comm.broadcast(message, first);
  code = comm.broadcast_value(code, first);
  switch (code) {
    case ExitCode::usage:
      throw UsageError(message);
    case ExitCode::data:
      throw DataError(message);
    case ExitCode::interrupted:
      throw Interrupted(message);
    default:
      throw ComputationError(message);
  }
}

void collectively(const Comm& comm, const std::function<void()>& body) {
  std::exception_ptr error;
  try {
    body();
  } catch (...) {
    error = std::current_exception();
  }
  throw_collectively(comm, error);
}

void on_root(const Comm& comm, const std::function<void()>& body) {
  collectively(comm, [&] {
    if (comm.is_root()) body();
  });
}

}  // namespace dualscape
