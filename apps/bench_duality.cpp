/// Speed of the duality against the machine's own limit: the pairing of 10,000 test with 60,000 training
/// images, the projection of 10,000 duals of a 512 x 512 layer on 100 directions, the published
/// demonstration's case, whose loops take its authors 13 s, and a co-spectrum, beside the Hessian products it
/// is made of. Each beside the rate of a square GEMM measured in the same run, on all ranks and on rank 0
/// alone, for the efficiency. Usage: bench_duality [CASE...], of demonstration, pairing, projection,
/// co-spectrum; without one all of them
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <iostream>
#include <limits>
#include <string_view>
#include <vector>

#include "../src/duality/projection.hpp"
#include "dualscape/base/blas.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/data/rows.hpp"
#include "dualscape/duality/pairing.hpp"
#include "dualscape/duality/weight_space.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"

namespace {

using namespace dualscape;
using Clock = std::chrono::steady_clock;

constexpr Index classes = 10;

/// Seconds of the best of a few calls, by the slowest rank.
double best_of(const Comm& comm, int calls, const std::function<void()>& call) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < calls; ++i) {
    comm.barrier();
    const auto start = Clock::now();
    call();
    best = std::min(best, comm.max(std::chrono::duration<double>(Clock::now() - start).count()));
  }
  return best;
}

template <class Real>
Matrix<Real> random_matrix(Index rows, Index cols, std::uint32_t stream) {
  const Random random(1, Stream::probe, stream);
  Matrix<Real> x(rows, cols);
  for (Index i = 0; i < rows * cols; ++i)
    x.data()[i] = static_cast<Real>(random.uniform(static_cast<std::uint64_t>(i)) - 0.5);
  return x;
}

/// Gflop/s a rank of a square product, all ranks at once.
template <class Real>
double gemm_rate(const Comm& comm) {
  constexpr Index n = 1024;
  const auto a = random_matrix<Real>(n, n, 0), b = random_matrix<Real>(n, n, 1);
  Matrix<Real> c(n, n);
  const double seconds = best_of(
      comm, 5, [&] { gemm<Real>(Op::none, Op::transpose, Real(1), a.view(), b.view(), Real(0), c.view()); });
  return 2e-9 * static_cast<double>(n * n * n) / seconds;
}

/// Images of random pixels, spread over the ranks.
data::DistributedRows images(const Comm& comm, Index count, std::uint32_t stream) {
  const Partition split(count, comm.size());
  data::Rows rows(split.count(comm.rank()), 784, data::Element::byte);
  const Random random(1, Stream::probe, stream);
  for (Index i = 0; i < rows.count(); ++i)
    for (std::size_t j = 0; j < 784; ++j)
      rows.row(i)[j] = static_cast<std::byte>(
          random.below(static_cast<std::uint64_t>((split.begin(comm.rank()) + i) * 784) + j, 256));
  return {comm, count, std::move(rows)};
}

duality::InputRows rows_of(const Comm& comm, const data::DistributedRows& set, double scale) {
  return [&comm, &set, scale](std::span<const Index> positions) {
    const data::Rows rows = set.fetch(comm, positions);
    Matrix<double> out(rows.count(), set.features());
    rows.copy_scaled(0, rows.count(), out.view(), scale);
    return out;
  };
}

duality::Side side(const Comm& comm, const data::DistributedRows& set) {
  duality::Side result;
  for (Index i = 0; i < set.count(); ++i) {
    result.positions.push_back(i);
    result.labels.push_back(static_cast<int>(i % classes));
  }
  result.rows = rows_of(comm, set, 1.0);
  result.pixels = [&comm, &set](std::span<const Index> positions) {
    const data::Rows rows = set.fetch(comm, positions);
    Matrix<std::uint8_t> out(rows.count(), set.features());
    std::memcpy(out.data(), rows.data(), out.entries().size());
    return out;
  };
  return result;
}

double time_pairing(const Comm& comm, int calls) {
  const auto test = images(comm, 10'000, 2), train = images(comm, 60'000, 3);
  const auto anchors = side(comm, test), partners = side(comm, train);
  return best_of(comm, calls, [&] { duality::nearest(comm, anchors, partners, true, "test", "training"); });
}

/// This rank's part of m random directions.
Matrix<double> part_of(const Comm& comm, const Partition& split, const Matrix<double>& whole) {
  Matrix<double> part(whole.rows(), split.count(comm.rank()));
  for (Index n = 0; n < whole.rows(); ++n)
    std::copy_n(whole.row(n).begin() + split.begin(comm.rank()), part.cols(), part.row(n).begin());
  return part;
}

duality::Duals random_duals(const Comm& comm, Index pairs, Index width) {
  const Lanes lanes(pairs, Lanes::automatic(pairs));
  duality::Duals duals;
  duals.lanes = lanes;
  duals.first = lanes.first_sample(comm.rank(), comm.size());
  const Index own = lanes.first_sample(comm.rank() + 1, comm.size()) - duals.first;
  duals.covector = random_matrix<double>(own, width, 4);
  duals.response = random_matrix<double>(own, width, 5);
  duals.state.assign(static_cast<std::size_t>(own), duality::DualState::kept);
  duals.inverse.assign(static_cast<std::size_t>(own), 1.0);
  duals.norm.assign(static_cast<std::size_t>(own), 1.0);
  duals.loss_gap.assign(static_cast<std::size_t>(own), 1.0);
  return duals;
}

double time_projection(const Comm& comm, Index pairs, Index width, Index m) {
  const auto duals = random_duals(comm, pairs, width);
  const Partition split(width * width, comm.size());
  const auto vectors = random_matrix<double>(m, split.count(comm.rank()), 6);
  const std::vector<double> values(static_cast<std::size_t>(m), 1.0), angles(values);
  // `complete` leaves out the products with the gap operator, which only bounds need.
  const duality::Directions directions{.values = values,
                                       .angle_bounds = angles,
                                       .vectors = vectors.view(),
                                       .partition = split,
                                       .place = {},
                                       .complete = true};
  return best_of(comm, 1, [&] {
    duality::Pass pass;
    duality::project(comm, duals, directions, pairs, pass);
  });
}

/// The co-spectrum of so many pairs at a layer of width x width weights, over 2,000 training samples; rank 0
/// says how long the products with the Hessian alone take.
double time_co_spectrum(const Comm& comm, Index pairs, Index width) {
  const nn::Network network(width,
                            {{.name = "dense1", .units = width, .activation = Activation::relu},
                             {.name = "dense2", .units = width, .activation = Activation::relu},
                             {.name = "dense3", .units = classes}},
                            Loss::cross_entropy);
  const Lanes lanes(2000, 8);
  const Index first = lanes.first_sample(comm.rank(), comm.size());
  const Index own = lanes.first_sample(comm.rank() + 1, comm.size()) - first;
  const auto inputs = random_matrix<double>(own, width, 8);
  Samples<double> samples{.lanes = lanes, .labels = {}, .inputs = [&](Index begin, MatrixView<double> out) {
                            std::copy_n(inputs.row(begin).begin(), out.rows * width, out.data);
                          }};
  for (Index i = 0; i < own; ++i) samples.labels.push_back(static_cast<int>((first + i) % classes));
  const nn::Linearisation<double> linearisation(comm, network, network.initial_parameters(1, 1.0),
                                                std::move(samples), {});
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation,
                                                         operators::select_block(network, {"dense2"}));
  const auto duals = random_duals(comm, pairs, width);
  const auto vectors = random_matrix<double>(pairs, hessian->domain().count(comm.rank()), 9);
  Matrix<double> products(pairs, vectors.cols());
  const double seconds = best_of(comm, 3, [&] { duality::co_spectrum(*hessian, duals, {}); });
  const double in_products = best_of(comm, 3, [&] {
    for (Index begin = 0; begin < pairs; begin += 64) {
      const Index count = std::min<Index>(64, pairs - begin);
      hessian->apply(vectors.view().rows_from(begin, count), products.view().rows_from(begin, count));
    }
  });
  if (comm.is_root())
    std::cout << fmt::format(
        "{} ranks: {} products with the Hessian {:.3f} s, the co-spectrum {:.2f} times that\n", comm.size(),
        pairs, in_products, seconds / in_products);
  return seconds;
}

/// Pairing, duals and decomposition over a complete basis at 784-30-30-10, as the demonstration.
double time_demonstration(const Comm& comm) {
  const auto test = images(comm, 1000, 2), train = images(comm, 4000, 3);
  const auto anchors = side(comm, test), partners = side(comm, train);
  const nn::Network network(784,
                            {{.name = "dense1", .units = 30, .activation = Activation::relu},
                             {.name = "dense2", .units = 30, .activation = Activation::relu},
                             {.name = "dense3", .units = 10}},
                            Loss::cross_entropy);
  nn::Model<double> model(network);
  model.set_parameters(network.initial_parameters(1, 1.0));
  auto basis = random_matrix<double>(900, 900, 7);
  for (Index i = 0; i < 900; ++i)
    for (Index j = 0; j < i; ++j) basis(j, i) = basis(i, j);
  auto values = symmetric_eigen(basis.view());
  const std::vector<double> angles(values.size(), 1e-12);
  const Partition split(900, comm.size());
  const auto vectors = part_of(comm, split, basis);
  const duality::Directions directions{.values = values,
                                       .angle_bounds = angles,
                                       .vectors = vectors.view(),
                                       .partition = split,
                                       .place = {},
                                       .complete = true};
  const duality::PairInputs inputs{.test = rows_of(comm, test, 255.0),
                                   .train = rows_of(comm, train, 255.0),
                                   .label = [](Index t) { return static_cast<int>(t % classes); }};
  // So short a call finds a moment without other work on all cores only among many.
  return best_of(comm, 60, [&] {
    const auto pairs =
        duality::as_pairs(duality::nearest(comm, anchors, partners, true, "test", "training"), Anchor::test);
    const auto duals =
        duality::make_duals(comm, model, 1, Lanes(1000, Lanes::automatic(1000)), pairs, inputs);
    duality::decompose(comm, model, 1, duals, directions, {});
  });
}

/// Runs a benchmark on all ranks between two looks at the GEMM rate, then on rank 0 alone while the others
/// wait. `flop`: of the whole, 0 where a rate says nothing.
template <class Real>
void report(const Comm& comm, const Comm& single, const char* name, double flop,
            const std::function<double(const Comm&)>& bench) {
  const double before = gemm_rate<Real>(comm);
  const double seconds = bench(comm);
  const double gemm = std::max(before, gemm_rate<Real>(comm));
  const double alone = comm.is_root() ? bench(single) : 0.0;
  comm.barrier();
  if (!comm.is_root()) return;
  std::cout << fmt::format("{:<42}{:>10.4f}{:>10.4f}{:>12.2f}{:>12.1f}", name, seconds, alone,
                           alone / (seconds * comm.size()), gemm);
  if (flop > 0) std::cout << fmt::format("{:>12.2f}", 1e-9 * flop / seconds / comm.size() / gemm);
  std::cout << std::endl;
}

void run(const Comm& comm, std::span<const std::string_view> asked) {
  set_blas_threads(1);
  const auto wants = [&](std::string_view name) {
    return asked.empty() || std::ranges::find(asked, name) != asked.end();
  };
  if (comm.is_root())
    std::cout << fmt::format("{} ranks, {}; square GEMM in Gflop/s a rank, of the precision used\n\n",
                             comm.size(), blas_description())
              << fmt::format("{:<42}{:>10}{:>10}{:>12}{:>12}{:>12}\n", "", "seconds", "rank 0", "efficiency",
                             "GEMM", "of it");
  const Comm single = comm.split(comm.rank());
  if (wants("demonstration"))
    report<double>(comm, single, "the demonstration's 1,000 x 4,000 at 30 x 30", 0, time_demonstration);
  if (wants("pairing"))
    report<float>(comm, single, "pairing of 10,000 with 60,000 x 784", 2.0 * 1e4 * 6e3 * 784,
                  [](const Comm& c) { return time_pairing(c, 3); });
  if (wants("projection"))
    report<double>(comm, single, "10,000 duals of 512 x 512 on 100 vectors", 2.0 * 1e4 * 512 * 512 * 100,
                   [](const Comm& c) { return time_projection(c, 10'000, 512, 100); });
  if (wants("co-spectrum"))
    report<double>(comm, single, "co-spectrum of 500 pairs at 128 x 128", 0,
                   [](const Comm& c) { return time_co_spectrum(c, 500, 128); });
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  MPI_Init(&argc, &argv);
  const std::vector<std::string_view> asked(argv + 1, argv + argc);
  constexpr std::array<std::string_view, 4> cases{"demonstration", "pairing", "projection", "co-spectrum"};
  const auto unknown = std::ranges::find_if(
      asked, [&](std::string_view name) { return std::ranges::find(cases, name) == cases.end(); });
  {
    const Comm world(MPI_COMM_WORLD);
    if (unknown == asked.end())
      run(world, asked);
    else if (world.is_root())
      std::cerr << fmt::format("bench_duality: no case '{}': one of {}\n", *unknown, fmt::join(cases, ", "));
  }
  MPI_Finalize();
  return unknown == asked.end() ? 0 : 2;
}
