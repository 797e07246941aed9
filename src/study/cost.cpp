#include "dualscape/study/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <initializer_list>

#include "dualscape/base/memory.hpp"
#include "dualscape/data/shard.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/layer_hessian.hpp"
#include "dualscape/petsc/thick_restart.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "dualscape/spectrum/complete.hpp"
#include "samples.hpp"

namespace dualscape::study {
namespace {

using operators::MemoryPlan;
using operators::ProductCost;
using operators::Work;

constexpr double mebibyte = 1 << 20;

/// Vectors of a Krylov basis and the block after it, as petsc::solve_ends makes them.
Index basis_vectors(bool lower, Index pairs, bool upper_deflated) {
  return 1 + (lower ? 3 * pairs + (upper_deflated ? 16 : 28) : pairs + std::max<Index>(8, pairs / 2));
}

/// The same for its search for missed copies.
Index search_vectors(bool lower, Index pairs, bool upper_deflated) {
  return 1 + (!lower ? 8 + pairs / 8 : upper_deflated ? 16 : 38);
}

/// Vectors held at most while the pairs are sought: a basis and SLEPc's template of a vector, the pairs
/// found, and these again where they are deflated. A basis that deflates some is made without them first, and
/// both are there for a moment. The pairs that a solve or a search finds beyond those asked for are
/// deflated too.
Index solve_vectors(Which which, Index pairs, Index size) {
  Index most = 0;
  Index found = 0;
  const auto add_end = [&](bool lower) {
    const Index basis = std::min(basis_vectors(lower, pairs, found > 0), size);
    most = std::max(most, 1 + basis + 2 * found + (found > 0 ? std::max(basis, pairs) : pairs));
    const bool upper_deflated = found > 0;
    found += pairs;
    const Index search = std::min(search_vectors(lower, pairs, upper_deflated), size);
    most = std::max(most, 1 + 2 * search + 2 * (found + petsc::surplus));
  };
  if (which != Which::smallest) add_end(false);
  if (which != Which::largest) add_end(true);
  return most;
}

MemoryPlan largest(std::initializer_list<MemoryPlan> plans) {
  return *std::ranges::max_element(plans, {}, &MemoryPlan::total);
}

/// A solve in single precision and its certificate in double: each beside what the other one's network and
/// operator keep, which in double is no more than the weights and the tile that activities are made in.
MemoryPlan larger_beside_double(Work solve, Work certificate, int rank, int ranks) {
  const auto parameters = static_cast<std::uint64_t>(solve.network.parameters());
  certificate.number_bytes = sizeof(double);
  certificate.cache_bytes = 0;
  Work tile = certificate;
  tile.vectors = 0;
  MemoryPlan one = operators::memory_plan(solve, rank, ranks);
  one.scratch += operators::memory_plan(tile, rank, ranks).scratch;
  one.weights += parameters * sizeof(double);
  MemoryPlan other = operators::memory_plan(certificate, rank, ranks);
  other.cache += one.cache;
  other.scratch += operators::memory_plan(solve, rank, ranks).scratch;
  other.directions += one.directions;
  other.lane_sums += one.lane_sums;
  other.weights += parameters * solve.number_bytes;
  return largest({one, other});
}

/// The single layer a block consists of; -1 for any other block.
Index single_layer(const nn::Network& network, const nn::BlockLayout& block) {
  Index found = -1;
  for (Index l = 0; l < network.depth(); ++l) {
    const bool weight = block.weight_offset[static_cast<std::size_t>(l)] != nn::BlockLayout::absent;
    const bool bias = block.bias_offset[static_cast<std::size_t>(l)] != nn::BlockLayout::absent;
    if (!weight && !bias) continue;
    if (!weight || found >= 0) return -1;
    found = l;
  }
  return found;
}

/// The plan of products with so many vectors beside `dense` bytes of matrices.
MemoryPlan beside_matrices(Work work, Index vectors, std::uint64_t dense, int rank, int ranks) {
  work.vectors = vectors;
  work.basis = 2 * vectors;  // and their images
  MemoryPlan plan = operators::memory_plan(work, rank, ranks);
  plan.dense = dense;
  return plan;
}

double mib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / mebibyte;
}

}  // namespace

MemoryPlan solve_memory(const Work& work, Which which, Index count, int rank, int ranks) {
  const Index size = work.block.size;
  const Index pairs = std::min(count + 1, size);  // the guard
  const Index ends = which == Which::both ? 2 : 1;
  Work solve = work;
  solve.vectors = 1;
  solve.basis = solve_vectors(which, pairs, size);
  Work certificate = work;
  certificate.vectors = std::min(spectrum::block_width(size), ends * pairs);
  // The pairs, and the products with a block of them; or the pairs once more, in the order of their values.
  certificate.basis = 2 * ends * pairs;
  if (work.number_bytes < sizeof(double)) return larger_beside_double(solve, certificate, rank, ranks);
  return largest(
      {operators::memory_plan(solve, rank, ranks), operators::memory_plan(certificate, rank, ranks)});
}

Index assembled_layer(const Work& work, const deck::Spectrum& asked) {
  if (asked.which != Which::all || asked.curvature != Curvature::hessian) return -1;
  const Index layer = single_layer(work.network, work.block);
  return layer >= 0 && work.network.layer(layer).kind == LayerKind::dense ? layer : -1;
}

MemoryPlan complete_memory(const Work& work, const deck::Spectrum& asked, int rank, int ranks) {
  const Index size = work.block.size;
  const auto row = static_cast<std::uint64_t>(size) * sizeof(double);
  const std::uint64_t vectors = row * static_cast<std::uint64_t>(Partition(size, ranks).count(rank));
  const std::uint64_t matrix = rank == 0 ? row * static_cast<std::uint64_t>(size) : 0;
  const Index width = std::min(spectrum::block_width(size), size);
  const std::uint64_t packed = rank == 0 ? row * static_cast<std::uint64_t>(width) : 0;
  const Index layer = assembled_layer(work, asked);
  const MemoryPlan assembly =
      layer >= 0 ? beside_matrices(work, 0, operators::assembly_memory(work, layer, rank, ranks), rank, ranks)
                 : beside_matrices(work, width, matrix + packed, rank, ranks);
  // LAPACK on rank 0; all pairs in their order and out of it.
  const MemoryPlan solve = beside_matrices(
      work, 0, std::max(std::uint64_t{spectrum::dense_copies} * matrix + packed, 2 * vectors), rank, ranks);
  // The probes' products whole, as they were gathered, and the probes.
  constexpr Index probes = spectrum::matrix_probes;
  const std::uint64_t gathered = rank == 0 ? 3 * row * static_cast<std::uint64_t>(probes) : 0;
  return largest({assembly, solve, beside_matrices(work, probes, matrix + vectors + gathered, rank, ranks)});
}

Work planned_work(const nn::Network& network, const nn::BlockLayout& block, const data::Dataset& data,
                  const deck::Config& config) {
  const Index samples = std::ssize(data::correct_positions(data.train));
  const int lanes = config.numerics.lanes > 0 ? config.numerics.lanes : Lanes::automatic(samples);
  return {.network = network,
          .block = block,
          .curvature = config.spectrum->curvature,
          .lanes = Lanes(samples, lanes),
          .number_bytes = solves_in_single(config) ? sizeof(float) : sizeof(double),
          .input_bytes = data.train.rows.local().element() == data::Element::byte ? 1 : sizeof(double),
          .cache_bytes = config.numerics.cache,
          .tile = config.numerics.tile};
}

MemoryPlan memory_of(const Work& work, const deck::Spectrum& asked, int rank, int ranks) {
  return asked.which == Which::all ? complete_memory(work, asked, rank, ranks)
                                   : solve_memory(work, asked.which, asked.count, rank, ranks);
}

std::uint64_t held_already(const Work& work, int rank, int ranks) {
  const std::uint64_t known = operators::memory_plan(work, rank, ranks).data +
                              static_cast<std::uint64_t>(work.network.parameters()) * sizeof(double);
  release_freed_memory();
  const std::uint64_t resident = resident_memory();
  return resident > known ? resident - known : 0;
}

std::uint64_t automatic_cache(Work work, const deck::Spectrum& asked, std::uint64_t share, int rank,
                              int ranks) {
  work.cache_bytes = 0;
  const std::uint64_t others = memory_of(work, asked, rank, ranks).total();
  return share / 2 > others ? share / 2 - others : 0;
}

std::string describe(const MemoryPlan& plan) {
  return fmt::format(
      "{:.1f} MiB a rank: cache {:.1f}, basis {:.1f}, matrices {:.1f}, lane sums {:.1f}, directions {:.1f}, "
      "weights {:.1f}, "
      "messages {:.1f}, tile {:.1f}, data {:.1f}, the process before {:.1f}",
      mib(plan.total()), mib(plan.cache), mib(plan.basis), mib(plan.dense), mib(plan.lane_sums),
      mib(plan.directions), mib(plan.weights), mib(plan.exchange), mib(plan.scratch), mib(plan.data),
      mib(plan.process));
}

std::string plan_text(const nn::Network& network, const data::Dataset& data, const deck::Config& config,
                      const std::vector<int>& ranks) {
  const nn::BlockLayout block = operators::select_block(network, config.spectrum->block);
  Work work = planned_work(network, block, data, config);
  const Index samples = work.lanes.samples();
  const int lanes = work.lanes.count();
  const operators::Machine machine;
  std::string text = fmt::format(
      "{} products of {} parameters over {} samples, {} precision\n"
      "memory of the fullest rank, and one product as rank 0 sees it; efficiency for {:.0f}e9 "
      "multiply-adds/s, "
      "{:.1f} GB/s received and {:.0f} GB/s added a rank, {:.0f} us a message\n\n"
      "{:>6}{:>7}{:>12}{:>12}{:>12}{:>14}{:>12}\n",
      name_of(config.spectrum->curvature), block.size, samples, name_of(config.numerics.precision),
      machine.multiply_adds / 1e9, machine.bandwidth / 1e9, machine.memory / 1e9, 1e6 * machine.latency,
      "ranks", "lanes", "memory MiB", "gather MiB", "reduce MiB", "multiply-adds", "efficiency");
  const double alone = operators::product_seconds(work, 1, machine);
  const std::uint64_t process = held_already(work, 0, 1);
  for (const int count : ranks) {
    // More ranks than lanes find no work: a deck would raise numerics.lanes.
    work.lanes =
        Lanes(samples, std::max(lanes, static_cast<int>(std::bit_ceil(static_cast<unsigned>(count)))));
    std::uint64_t memory = 0;
    for (int rank = 0; rank < count; ++rank)
      memory = std::max(memory, memory_of(work, *config.spectrum, rank, count).total());
    const ProductCost cost = operators::product_cost(work, 0, count);
    text +=
        fmt::format("{:>6}{:>7}{:>12.1f}{:>12.2f}{:>12.2f}{:>14.4g}{:>12.3f}\n", count, work.lanes.count(),
                    mib(memory + process), cost.gathered / mebibyte, cost.reduced / mebibyte,
                    cost.multiply_adds, alone / operators::product_seconds(work, count, machine) / count);
  }
  return text;
}

}  // namespace dualscape::study
