#pragma once

#include <string>

#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/operators/plan.hpp"

/// What the search for eigenpairs will cost, before it starts.
namespace dualscape::study {

/// Peak memory of a rank for the `count` pairs of an end, or of both: the larger of the solve, with its
/// basis, and of the certificate, whose products are blocks.
operators::MemoryPlan solve_memory(const operators::Work& work, Which which, Index count, int rank,
                                   int ranks);

/// The layer whose Hessian is assembled as such where a deck asks for all its eigenpairs; -1 where it does
/// not, and where products with unit vectors make the matrix.
Index assembled_layer(const operators::Work& work, const deck::Spectrum& asked);

/// Peak memory of a rank for all pairs: the largest of the assembly of the matrix, of LAPACK on rank 0, and
/// of the products that bound the matrix's distance.
operators::MemoryPlan complete_memory(const operators::Work& work, const deck::Spectrum& asked, int rank,
                                      int ranks);

/// The products a deck asks for, over its analysed samples and with the cache it names. Refers to `network`
/// and `block`.
operators::Work planned_work(const nn::Network& network, const nn::BlockLayout& block,
                             const data::Dataset& data, const deck::Config& config);
/// solve_memory of a deck; complete_memory where it asks for all pairs.
operators::MemoryPlan memory_of(const operators::Work& work, const deck::Spectrum& asked, int rank,
                                int ranks);

/// What this process holds now besides the samples and the parameters: program, libraries, their buffers.
/// Memory freed before is handed back first: the solve would use it again.
std::uint64_t held_already(const operators::Work& work, int rank, int ranks);

/// What `numerics.cache = "auto"` allows: half of the node's memory that falls to a rank (`share`, bytes)
/// less the rest of its plan, the solve of what is `asked` included.
std::uint64_t automatic_cache(operators::Work work, const deck::Spectrum& asked, std::uint64_t share,
                              int rank, int ranks);

/// One line: the plan of a rank in MiB.
std::string describe(const operators::MemoryPlan& plan);

/// The plan of a deck's solve and its model for each number of ranks, as a table. `block`: of the network's
/// parameters that the deck asks for.
std::string plan_text(const nn::Network& network, const data::Dataset& data, const deck::Config& config,
                      const std::vector<int>& ranks);

}  // namespace dualscape::study
