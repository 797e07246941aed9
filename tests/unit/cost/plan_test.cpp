#include "dualscape/operators/plan.hpp"

#include <gtest/gtest.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <memory>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/data/rows.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/study/cost.hpp"

namespace dualscape::study {
namespace {

using operators::MemoryPlan;
using operators::Work;

/// A network of some width on random images.
struct Problem {
  nn::Network network;
  nn::BlockLayout block;
  Lanes lanes;
  std::vector<double> parameters;

  explicit Problem(Index samples, Index width = 400)
      : network(256,
                {{.name = "dense1", .units = width, .activation = Activation::relu},
                 {.name = "dense2", .units = width, .activation = Activation::relu},
                 {.name = "dense3", .units = 10}},
                Loss::cross_entropy),
        block(operators::select_block(network, {"all"})),
        lanes(samples, 8),
        parameters(network.initial_parameters(1, 1.0)) {}

  template <class Real>
  Samples<Real> samples(const Comm& comm) const {
    const Index begin = lanes.first_sample(comm.rank(), comm.size());
    const Index own = lanes.first_sample(comm.rank() + 1, comm.size()) - begin;
    const auto rows = std::make_shared<data::Rows>(own, network.features(), data::Element::byte);
    Samples<Real> result{
        .lanes = lanes, .labels = std::vector<int>(static_cast<std::size_t>(own)), .inputs = {}};
    for (Index i = 0; i < own; ++i) {
      const Random random(9, Stream::probe, static_cast<std::uint32_t>(begin + i));
      result.labels[static_cast<std::size_t>(i)] = static_cast<int>((begin + i) % network.outputs());
      for (Index j = 0; j < network.features(); ++j)
        rows->row(i)[static_cast<std::size_t>(j)] =
            static_cast<std::byte>(256 * random.uniform(static_cast<std::uint64_t>(j)));
    }
    result.inputs = [rows](Index first, MatrixView<Real> out) {
      rows->copy_scaled(first, out.rows, out, 255.0);
    };
    return result;
  }

  template <class Real>
  Work work(Curvature kind = Curvature::hessian) const {
    return {
        .network = network, .block = block, .curvature = kind, .lanes = lanes, .number_bytes = sizeof(Real)};
  }
};

/// A product with a block of vectors, which it holds along with their images.
void multiply(const Comm& comm, const Problem& problem, Index vectors) {
  const auto parameters = problem.network.initial_parameters(1, 1.0);  // a run holds them too
  const nn::Linearisation<float> linearisation(comm, problem.network, parameters,
                                               problem.samples<float>(comm), {});
  const auto op = operators::make_curvature<float>(Curvature::hessian, linearisation, problem.block);
  const Index local = op->domain().count(comm.rank());
  Matrix<double> in(vectors, local), out(vectors, local);
  op->apply(in.view(), out.view());
}

#ifdef __SANITIZE_ADDRESS__
// The address sanitizer keeps a byte of its own for every eight in use.
constexpr double bytes_per_byte = 9.0 / 8.0;
#else
constexpr double bytes_per_byte = 1.0;
#endif

/// Bytes this process has grown by at most since `before`, on the rank where that is most.
double grown(const Comm& comm, std::uint64_t before) {
  return static_cast<double>(comm.max(peak_memory() - before)) / bytes_per_byte;
}

// The first test: later ones would find a peak already reached.
TEST(Plan, PredictsThePeakMemoryOfProductsWithinATenth) {
  const Comm comm(MPI_COMM_WORLD);
  constexpr Index vectors = 7;
  const Problem problem(3000);
  // The libraries' own buffers and code are no part of the plan: both are there after a small problem and a
  // product that fills the BLAS's packing buffers.
  multiply(comm, Problem(16, 8), vectors);
  {
    Matrix<float> a(1536, 1536), c(1536, 1536);
    gemm<float>(Op::none, Op::transpose, 1, a.view(), a.view(), 0, c.view());
  }
  comm.max(1);
#ifdef __GLIBC__
  malloc_trim(0);  // what the small problem has freed would be used again, unseen
#endif
  const std::uint64_t before = resident_memory();

  multiply(comm, problem, vectors);

  Work work = problem.work<float>();
  work.vectors = vectors;
  work.basis = 2 * vectors;
  const MemoryPlan plan = operators::memory_plan(work, comm.rank(), comm.size());
  const double planned = static_cast<double>(comm.max(plan.total()));
  const double measured = grown(comm, before);
  EXPECT_GT(planned, 50e6);
  EXPECT_NEAR(measured / planned, 1.0, 0.1) << measured << " bytes, planned " << planned;
}

TEST(Plan, CountsTheMultiplyAddsOfEveryOperator) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem(160, 24);
  constexpr std::uint64_t some = 50'000;  // bytes: room for a part of a rank's samples
  const std::uint64_t all = operators::memory_plan(problem.work<double>(), comm.rank(), comm.size()).cache;
  ASSERT_GT(all, 2 * some);
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"all"}, {"dense2"}, {"dense1", "dense3"}})
    for (std::optional<std::uint64_t> cache : {std::optional<std::uint64_t>(), {0}, {some}})
      for (Curvature kind : {Curvature::hessian, Curvature::gauss_newton, Curvature::empirical_fisher,
                             Curvature::gradient_covariance})
        for (Index vectors : {1, 3}) {
          const auto block = operators::select_block(problem.network, names);
          const nn::Linearisation<double> linearisation(comm, problem.network, problem.parameters,
                                                        problem.samples<double>(comm),
                                                        {.tile = 8, .cache_bytes = cache});
          const auto op = operators::make_curvature<double>(kind, linearisation, block);
          const Index local = op->domain().count(comm.rank());
          Matrix<double> in(vectors, local), out(vectors, local);
          const double before = gemm_multiply_adds();
          op->apply(in.view(), out.view());
          const Work work{.network = problem.network,
                          .block = block,
                          .curvature = kind,
                          .lanes = problem.lanes,
                          .cache_bytes = cache,
                          .tile = 8,
                          .vectors = vectors};
          const auto cost = operators::product_cost(work, comm.rank(), comm.size());
          EXPECT_EQ(gemm_multiply_adds() - before, cost.multiply_adds)
              << name_of(kind) << " of " << operators::block_name(names) << ", " << vectors << " vectors";
          EXPECT_EQ(linearisation.cached_bytes(),
                    operators::memory_plan(work, comm.rank(), comm.size()).cache);
        }
}

TEST(Plan, AutomaticCachesStayWithinTheirShareOfTheNode) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem(160);
  const std::uint64_t share = memory_per_rank(comm);
  EXPECT_GT(share, std::uint64_t{1} << 20);
  EXPECT_LE(automatic_cache(problem.work<double>(), {}, share, comm.rank(), comm.size()), share);
  // A rank without room keeps nothing; one with plenty keeps all.
  EXPECT_EQ(automatic_cache(problem.work<double>(), {}, 0, 0, 1), 0U);
  const auto all = operators::memory_plan(problem.work<double>(), 0, 1).cache;
  EXPECT_GE(automatic_cache(problem.work<double>(), {}, std::uint64_t{1} << 40, 0, 1), all);
}

TEST(Plan, AutomaticCachesLeaveRoomForTheMatricesOfACompleteSpectrum) {
  const Problem problem(3000, 24);
  Work work = problem.work<double>();
  const deck::Spectrum asked{.which = Which::all};
  const auto size = static_cast<std::uint64_t>(problem.block.size);
  const std::uint64_t matrices = 4 * size * size * sizeof(double);
  const std::uint64_t half = matrices + (std::uint64_t{8} << 20);
  const std::uint64_t cache = automatic_cache(work, asked, 2 * half, 0, 2);
  EXPECT_GT(cache, 0U);
  EXPECT_LT(cache, half - matrices);
  // Only rank 0 holds them; the others have their vectors.
  EXPECT_GT(automatic_cache(work, asked, 2 * half, 1, 2), matrices / 2);
  work.cache_bytes = cache;
  EXPECT_LE(memory_of(work, asked, 0, 2).total(), half);
}

TEST(Plan, CountsTheProbesOfACompleteSpectrum) {
  const nn::Network network(4, {{.name = "dense1", .units = 2}}, Loss::cross_entropy);
  const auto block = operators::select_block(network, {"dense1"});
  const Work work{
      .network = network, .block = block, .curvature = Curvature::gauss_newton, .lanes = Lanes(16, 4)};
  const deck::Spectrum asked{.curvature = Curvature::gauss_newton, .which = Which::all};
  // Of so small a block the 16 probes take the most: the matrix and the rank's vectors, and on rank 0 the
  // probes, their products and these as gathered. (The rank's parts of both are its basis.)
  ASSERT_EQ(block.size, 8);
  const MemoryPlan first = complete_memory(work, asked, 0, 2);
  EXPECT_EQ(first.dense, sizeof(double) * (8 * 8 + 4 * 8 + 3 * 16 * 8));
  EXPECT_EQ(first.basis, sizeof(double) * 2 * 16 * 4);
  EXPECT_EQ(complete_memory(work, asked, 1, 2).dense, sizeof(double) * 4 * 8);
}

TEST(Plan, EfficiencyFallsWithTheShareOfCommunication) {
  const Problem problem(1 << 16);
  Work work = problem.work<float>();
  work.lanes = Lanes(1 << 16, 4096);
  const operators::Machine machine;
  double last = 2;
  for (int ranks : {1, 2, 16, 256, 4096}) {
    const double efficiency = operators::product_seconds(work, 1, machine) /
                              operators::product_seconds(work, ranks, machine) / ranks;
    EXPECT_LT(efficiency, last);
    EXPECT_GT(efficiency, 0);
    last = efficiency;
  }
  EXPECT_EQ(operators::product_cost(work, 0, 1).gathered, 0);
}

}  // namespace
}  // namespace dualscape::study
