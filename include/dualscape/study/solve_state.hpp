#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/samples.hpp"
#include "dualscape/spectrum/spectrum.hpp"

/// Checkpoints of an eigensolve under way, and what tells whether a checkpoint is of this run.
namespace dualscape::study {

/// Where a search for eigenpairs stands, as read from a file, with the vectors it refers to.
struct StoredSolve {
  spectrum::SolvePoint point;
  Matrix<double> vectors;
};

/// @note Collective
void write_solve(const Comm& comm, const std::filesystem::path& path, const Partition& partition,
                 const spectrum::Stage& stage, const petsc::EigenState& state,
                 const std::string& fingerprint);
/// Reads it back onto any number of ranks. Throws DataError when it is not of an operator of this size.
/// @note Collective
StoredSolve read_solve(const Comm& comm, const std::filesystem::path& path, const Partition& partition);

/// The part of a fingerprint that tells parameters from any others.
std::uint64_t hash_of(std::span<const double> parameters);
/// A text that tells samples and parameters, by their hash_of, from any others: 16 hexadecimal digits, the
/// same at any number of ranks. @note Collective
std::string fingerprint_of(const Comm& comm, const Samples<double>& samples, Index features,
                           std::uint64_t parameters);

/// Whether rank 0 finds a checkpoint that is whole and of this run's fingerprint, which all ranks make where
/// one is whole. A damaged one is reason for `complain(message)` on rank 0; throws DataError when it was made
/// of other data or weights. @note Collective
bool usable_checkpoint(const Comm& comm, const std::filesystem::path& path,
                       const std::function<std::string()>& fingerprint,
                       const std::function<void(const std::string& message)>& complain);

}  // namespace dualscape::study
