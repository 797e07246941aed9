#pragma once

#include <mpi.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace dualscape {

/// MPI datatype of an arithmetic type.
template <class T>
MPI_Datatype mpi_type() {
  if constexpr (std::is_same_v<T, double>)
    return MPI_DOUBLE;
  else if constexpr (std::is_same_v<T, float>)
    return MPI_FLOAT;
  else if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::byte>)
    return MPI_BYTE;
  else if constexpr (std::is_same_v<T, char>)
    return MPI_CHAR;
  else if constexpr (std::is_same_v<T, int>)
    return MPI_INT;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return MPI_INT64_T;
  else {
    static_assert(std::is_same_v<T, std::uint64_t>, "no MPI datatype for this type");
    return MPI_UINT64_T;
  }
}

/// A group of MPI ranks: an owned duplicate of a communicator, so that the project's messages never meet a
/// library's. Move-only.
class Comm {
 public:
  /// Duplicates `parent`. @note Collective
  explicit Comm(MPI_Comm parent);
  ~Comm();
  Comm(Comm&& other) noexcept;
  Comm& operator=(Comm&& other) noexcept;
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  MPI_Comm get() const noexcept { return comm_; }
  int rank() const noexcept { return rank_; }
  int size() const noexcept { return size_; }
  /// Rank 0 reads, prints and writes for all.
  bool is_root() const noexcept { return rank_ == 0; }

  /// Ranks of equal `color` form a new group. @note Collective
  Comm split(int color) const;

  /// @note Collective
  void barrier() const;

  /// `values` of `root` replace every other rank's. @note Collective
  template <class T>
  void broadcast(std::span<T> values, int root = 0) const {
    broadcast_bytes(std::as_writable_bytes(values), root);
  }
  /// The vector of `root`, resized on every other rank. @note Collective
  template <class T>
  void broadcast(std::vector<T>& values, int root = 0) const {
    values.resize(broadcast_value<std::uint64_t>(values.size(), root));
    broadcast(std::span<T>(values), root);
  }
  /// @note Collective
  void broadcast(std::string& text, int root = 0) const;
  /// @note Collective
  template <class T>
  requires std::is_trivially_copyable_v<T> T broadcast_value(T value, int root = 0)
  const {
    broadcast_bytes(std::as_writable_bytes(std::span<T>(&value, 1)), root);
    return value;
  }

  /// Whether `value` holds on every rank. @note Collective
  bool all_true(bool value) const;
  /// Largest `value` over the ranks. @note Collective
  template <class T>
  T max(T value) const {
    MPI_Allreduce(MPI_IN_PLACE, &value, 1, mpi_type<T>(), MPI_MAX, comm_);
    return value;
  }
  /// Sum over the ranks, for integers only: a sum of floating-point numbers is an OrderedSum. @note
  /// Collective
  template <std::integral T>
  T sum(T value) const {
    MPI_Allreduce(MPI_IN_PLACE, &value, 1, mpi_type<T>(), MPI_SUM, comm_);
    return value;
  }

  /// Number of communicators alive on this rank: zero when nothing leaks.
  static int alive() noexcept;

 private:
  Comm(MPI_Comm owned, int) noexcept;
  void broadcast_bytes(std::span<std::byte> bytes, int root) const;
  void free() noexcept;

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

/// Throws on every rank when any rank brings an error: message and exit code of the lowest such rank.
/// @note Collective
void throw_collectively(const Comm& comm, std::exception_ptr error);

/// Runs `body` on every rank and makes a failure collective: when it throws on any rank, every rank throws,
/// with the message and exit code of the lowest failing rank. `body` must not communicate. @note Collective
void collectively(const Comm& comm, const std::function<void()>& body);

/// Runs `body` on rank 0 only; when it throws, every rank throws the same error. @note Collective
void on_root(const Comm& comm, const std::function<void()>& body);

}  // namespace dualscape
