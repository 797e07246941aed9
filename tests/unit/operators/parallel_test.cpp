#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dense_curvature.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/operators/jacobian.hpp"
#include "dualscape/operators/layer_hessian.hpp"
#include "support/dense_operator.hpp"
#include "support/error_of.hpp"

namespace dualscape::operators {
namespace {

/// Calls to MPI since the last reset.
struct Calls {
  int allgatherv = 0;
  int alltoallv = 0;
  int others = 0;
  Index gathered = 0;  ///< bytes this rank received, its own included
  Index reduced = 0;   ///< bytes this rank received, its own included
};
Calls calls;

Index bytes(const int* counts, MPI_Datatype type, MPI_Comm comm) {
  int ranks = 0, size = 0;
  PMPI_Comm_size(comm, &ranks);
  PMPI_Type_size(type, &size);
  Index sum = 0;
  for (int r = 0; r < ranks; ++r) sum += counts[r];
  return sum * size;
}

}  // namespace
}  // namespace dualscape::operators

// The linker takes these rather than MPI's own, which stay reachable by their profiling names.
extern "C" {
int MPI_Allgatherv(const void* send, int count, MPI_Datatype type, void* receive, const int* counts,
                   const int* starts, MPI_Datatype receive_type, MPI_Comm comm) {
  ++dualscape::operators::calls.allgatherv;
  dualscape::operators::calls.gathered += dualscape::operators::bytes(counts, receive_type, comm);
  return PMPI_Allgatherv(send, count, type, receive, counts, starts, receive_type, comm);
}
int MPI_Alltoallv(const void* send, const int* counts, const int* starts, MPI_Datatype type, void* receive,
                  const int* receive_counts, const int* receive_starts, MPI_Datatype receive_type,
                  MPI_Comm comm) {
  ++dualscape::operators::calls.alltoallv;
  dualscape::operators::calls.reduced += dualscape::operators::bytes(receive_counts, receive_type, comm);
  return PMPI_Alltoallv(send, counts, starts, type, receive, receive_counts, receive_starts, receive_type,
                        comm);
}
int MPI_Allreduce(const void* send, void* receive, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  ++dualscape::operators::calls.others;
  return PMPI_Allreduce(send, receive, count, type, op, comm);
}
int MPI_Bcast(void* buffer, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  ++dualscape::operators::calls.others;
  return PMPI_Bcast(buffer, count, type, root, comm);
}
int MPI_Barrier(MPI_Comm comm) {
  ++dualscape::operators::calls.others;
  return PMPI_Barrier(comm);
}
int MPI_Send(const void* buffer, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  ++dualscape::operators::calls.others;
  return PMPI_Send(buffer, count, type, to, tag, comm);
}
int MPI_Isend(const void* buffer, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request* request) {
  ++dualscape::operators::calls.others;
  return PMPI_Isend(buffer, count, type, to, tag, comm, request);
}
}

namespace dualscape::operators {
namespace {

using dualscape::testing::error_of;
using dualscape::testing::normal_matrix;
using dualscape::testing::product;
using ::testing::HasSubstr;
using testing::NetworkProblem;

constexpr Curvature kinds[] = {Curvature::hessian, Curvature::gauss_newton, Curvature::empirical_fisher,
                               Curvature::gradient_covariance};

template <class Real>
void expect_same_bits(Index count, int lanes) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const NetworkProblem problem(Activation::gelu, Loss::softmax_mse, true, count);
  const auto parallel = problem.linearisation<Real>(comm, {.tile = 3}, lanes);
  const auto serial = problem.linearisation<Real>(self, {.tile = 3}, lanes);
  for (const testing::Names& names : {testing::Names{"dense2"}, {"dense1", "dense3+bias"}, {"all"}}) {
    const auto block = select_block(problem.network, names);
    EXPECT_EQ(mean_gradient(parallel, block), mean_gradient(serial, block));
    for (Curvature kind : kinds)
      for (Index vectors : {1, 3}) {
        const auto v = normal_matrix(vectors, block.size, 60);
        const auto here = product(*make_curvature<Real>(kind, parallel, block), v);
        const auto there = product(*make_curvature<Real>(kind, serial, block), v);
        EXPECT_THAT(here.entries(), ::testing::ElementsAreArray(there.entries()))
            << name_of(kind) << ", " << count << " samples in " << lanes << " lanes";
      }
  }
}

TEST(Parallel, ProductsHaveTheSameBitsAtAnyNumberOfRanks) {
  expect_same_bits<double>(23, 8);
  expect_same_bits<float>(23, 8);
  expect_same_bits<double>(61, 16);
}

TEST(Parallel, MoreRanksThanSamplesOrLanesAreFine) {
  for (Index count : {1, 2, 3}) expect_same_bits<double>(count, 8);
  expect_same_bits<float>(2, 8);
  expect_same_bits<double>(23, 1);
  expect_same_bits<double>(23, 2);
}

TEST(Parallel, RepeatedProductsHaveTheSameBits) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::gelu, Loss::cross_entropy, true);
  const auto kept = problem.linearisation(comm);
  const auto recomputed = problem.linearisation(comm, {.cache_bytes = 0});
  const auto block = select_block(problem.network, {"all"});
  for (Curvature kind : kinds) {
    const auto op = make_curvature<double>(kind, kept, block);
    const auto v = normal_matrix(2, block.size, 61);
    const auto first = product(*op, v);
    product(*op, normal_matrix(5, block.size, 62));  // leaves nothing behind in the buffers
    EXPECT_THAT(product(*op, v).entries(), ::testing::ElementsAreArray(first.entries()));
    EXPECT_THAT(product(*make_curvature<double>(kind, recomputed, block), v).entries(),
                ::testing::ElementsAreArray(first.entries()));
  }
}

template <class Real>
void expect_one_exchange_each_way() {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true);
  const auto linearisation = problem.linearisation<Real>(comm);
  const Lanes& lanes = linearisation.lanes();
  for (const testing::Names& names : {testing::Names{"dense2"}, {"all"}})
    for (Curvature kind : kinds)
      for (Index vectors : {1, 4}) {
        const auto op = make_curvature<Real>(kind, linearisation, select_block(problem.network, names));
        const Index local = op->domain().count(comm.rank());
        Matrix<double> in(vectors, local), out(vectors, local);
        calls = {};
        op->apply(in.view(), out.view());
        const int exchanges = comm.size() > 1 ? 1 : 0;
        EXPECT_EQ(calls.allgatherv, exchanges);
        EXPECT_EQ(calls.alltoallv, exchanges);
        EXPECT_EQ(calls.others, 0);
        // In the network's precision, both ways, and a status from each rank.
        const auto number = static_cast<Index>(sizeof(Real));
        EXPECT_EQ(calls.gathered, exchanges * number * vectors * op->domain().size());
        Index nodes = 0;
        for (int r = 0; r < comm.size(); ++r)
          nodes +=
              OrderedSum<Real>::nodes(lanes.first_lane(r, comm.size()), lanes.first_lane(r + 1, comm.size()));
        EXPECT_EQ(calls.reduced, exchanges * number * (nodes * vectors * local + comm.size()));
      }
}

TEST(Parallel, AProductIsOneExchangeEachWay) {
  expect_one_exchange_each_way<double>();
  expect_one_exchange_each_way<float>();
}

TEST(Parallel, AJacobiansProductIsAGatherAndItsTransposesASum) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true);
  const auto linearisation = problem.linearisation(comm);
  const Jacobian<double> jacobian(linearisation, select_block(problem.network, {"all"}));
  Matrix<double> parameters(4, jacobian.domain().count(comm.rank()));
  Matrix<double> logits(4, jacobian.range().count(comm.rank()));
  const int exchanges = comm.size() > 1 ? 1 : 0;
  calls = {};
  jacobian.apply(parameters.view(), logits.view());
  EXPECT_EQ(calls.allgatherv, exchanges);
  EXPECT_EQ(calls.alltoallv, 0);
  EXPECT_EQ(calls.others, 1);  // how it went on the other ranks
  calls = {};
  jacobian.apply_transpose(logits.view(), parameters.view());
  EXPECT_EQ(calls.allgatherv, 0);
  EXPECT_EQ(calls.alltoallv, exchanges);
  EXPECT_EQ(calls.others, 0);
}

TEST(Parallel, ATileThatFailsOnOneRankFailsOnEveryRank) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true);
  auto samples = problem.samples(comm);
  auto broken = std::make_shared<bool>(false);
  samples.inputs = [&comm, broken, read = samples.inputs](Index first, MatrixView<double> out) {
    if (*broken && comm.rank() == comm.size() - 1) throw DataError("the rows of lane 7 are gone");
    read(first, out);
  };
  const nn::Linearisation<double> linearisation(comm, problem.network, problem.parameters, samples,
                                                {.tile = 2, .cache_bytes = 0});
  const auto block = select_block(problem.network, {"all"});
  const auto v = normal_matrix(2, block.size, 63);
  for (Curvature kind : kinds) {
    const auto op = make_curvature<double>(kind, linearisation, block);
    const auto before = product(*op, v);
    *broken = true;
    EXPECT_THAT(error_of<DataError>([&] { product(*op, v); }), HasSubstr("the rows of lane 7 are gone"));
    *broken = false;
    // The operator is as good as new afterwards.
    EXPECT_THAT(product(*op, v).entries(), ::testing::ElementsAreArray(before.entries()));
  }
  const Jacobian<double> jacobian(linearisation, block);
  const auto u = normal_matrix(2, jacobian.range().size(), 64);
  *broken = true;
  EXPECT_THAT(error_of<DataError>([&] { mean_gradient(linearisation, block); }), HasSubstr("lane 7"));
  EXPECT_THAT(error_of<DataError>([&] { product(jacobian, v); }), HasSubstr("lane 7"));
  EXPECT_THAT(error_of<DataError>([&] { product(jacobian, u, true); }), HasSubstr("lane 7"));
  EXPECT_THAT(error_of<DataError>([&] { assemble_layer_hessian(linearisation, 1, true); }),
              HasSubstr("lane 7"));
}

}  // namespace
}  // namespace dualscape::operators
