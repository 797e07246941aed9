#pragma once

#include <cstdint>

#include "dualscape/base/comm.hpp"

namespace dualscape {

/// Tells the C library to keep freed memory for reuse instead of handing every large buffer back to the
/// system: buffers of a few hundred kilobytes come and go with each product, and clearing fresh pages costs
/// as much as filling them. Does nothing where the C library has no such setting. Called once, by a program's
/// main.
void keep_freed_memory();

/// Bytes of memory this machine has free or can free at once, for all its processes; the largest number where
/// the system does not tell.
std::uint64_t machine_memory_free();

/// Bytes this process may still take up under its limit of address space; the largest number without one.
std::uint64_t address_space_left();

/// Hands memory that was freed and kept for reuse back to the system, where the C library can.
void release_freed_memory();

/// The resident size of this process, in bytes; 0 where the system does not tell.
std::uint64_t resident_memory();

/// The largest resident size this process has had, in bytes.
std::uint64_t peak_memory();

/// This rank's equal share of its node's memory, in bytes: the physical memory, or less where a control group
/// limits it, over the ranks of the group that run there. @note Collective
std::uint64_t memory_per_rank(const Comm& comm);

}  // namespace dualscape
