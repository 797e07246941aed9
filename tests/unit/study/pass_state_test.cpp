#include "dualscape/study/pass_state.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "support/temporary_folder.hpp"

namespace dualscape::study {
namespace {

using duality::Pass;

Matrix<double> random_rows(Index rows, Index cols, std::uint32_t stream) {
  const Random random(3, Stream::probe, stream);
  Matrix<double> x(rows, cols);
  for (std::size_t i = 0; i < x.entries().size(); ++i) x.entries()[i] = random.normal(i);
  return x;
}

/// So many pairs that the directions come in two blocks and the pairs of each lane in nine.
struct Layer {
  static constexpr Index width = 16, pairs_of_all = 17'000, samples = 400, all = width * width;
  const Comm& comm;
  const Lanes lanes{pairs_of_all, 8};
  nn::Model<double> model;
  Matrix<double> vectors;
  std::vector<double> values, angles;
  std::optional<duality::Duals> duals;

  explicit Layer(const Comm& on)
      : comm(on),
        model(nn::Network(10,
                          {{.name = "dense1", .units = width, .activation = Activation::relu},
                           {.name = "dense2", .units = width, .activation = Activation::tanh},
                           {.name = "dense3", .units = 3}},
                          Loss::cross_entropy)),
        values(static_cast<std::size_t>(all)),
        angles(values.size(), 1e-3) {
    model.set_parameters(model.network().initial_parameters(7, 2.0));
    const Partition split(all, comm.size());
    const auto whole = random_rows(all, all, 1);
    vectors = Matrix<double>(all, split.count(comm.rank()));
    for (Index n = 0; n < all; ++n) {
      values[static_cast<std::size_t>(n)] = 1.0 / static_cast<double>(1 + n);
      for (Index i = 0; i < vectors.cols(); ++i)
        vectors(n, i) = whole(n, split.begin(comm.rank()) + i) / norm(whole.row(n));
    }
    std::vector<duality::Pair> pairs;
    for (Index k = 0; k < pairs_of_all; ++k) pairs.push_back({.test = k % samples, .train = k / 7 % samples});
    const auto rows_of = [](std::uint32_t stream) -> duality::InputRows {
      return [x = random_rows(samples, 10, stream)](std::span<const Index> positions) {
        Matrix<double> rows(std::ssize(positions), x.cols());
        for (Index i = 0; i < rows.rows(); ++i)
          std::ranges::copy(x.row(positions[static_cast<std::size_t>(i)]), rows.row(i).begin());
        return rows;
      };
    };
    duals = duality::make_duals(comm, model, 1, lanes, pairs,
                                {.test = rows_of(2), .train = rows_of(3), .label = [](Index) { return 0; }});
  }

  PassOf of() const { return {.layer = "dense2", .eigenvalues = values, .lanes = lanes}; }

  duality::Decomposition decompose(Pass& pass, bool complete) const {
    const duality::Directions directions{.values = values,
                                         .angle_bounds = angles,
                                         .vectors = vectors.view(),
                                         .partition = Partition(all, comm.size()),
                                         .place = {},
                                         .complete = complete};
    return duality::decompose(comm, model, 1, *duals, directions, {.pass = &pass});
  }

  /// Goes on with a pass and stops it after so many blocks more; returns whether it was stopped.
  bool stop_after(Pass& pass, int blocks, bool complete) const {
    pass.after_block = [&blocks] {
      if (--blocks == 0) throw Interrupted("stopped by a signal");
    };
    try {
      decompose(pass, complete);
    } catch (const Interrupted&) {
      return true;
    }
    return false;
  }
};

void expect_same(const Layer& layer, const Pass& pass, const Layer& serial, const Pass& expected) {
  const duality::Projected &x = pass.done, &y = expected.done;
  EXPECT_TRUE(x.directions.mean_w == y.directions.mean_w);
  EXPECT_TRUE(x.directions.mean_g == y.directions.mean_g);
  EXPECT_TRUE(x.directions.sigma_w == y.directions.sigma_w);
  EXPECT_TRUE(x.directions.sigma_g == y.directions.sigma_g);
  EXPECT_TRUE(x.directions.contribution == y.directions.contribution);
  EXPECT_TRUE(x.covariance == y.covariance);
  EXPECT_TRUE(duality::gather_pairs(layer.comm, layer.lanes, x.captured) ==
              duality::gather_pairs(serial.comm, serial.lanes, y.captured));
  EXPECT_TRUE(duality::gather_pairs(layer.comm, layer.lanes, x.curved) ==
              duality::gather_pairs(serial.comm, serial.lanes, y.curved));
  // A norm over a vector's parts: each rank's sum has its own rounding, below that of as many terms.
  ASSERT_EQ(x.leak.size(), y.leak.size());
  for (std::size_t n = 0; n < x.leak.size(); ++n)
    EXPECT_NEAR(x.leak[n], y.leak[n], Layer::all * 2.3e-16 * y.leak[n]);
}

/// Checks the sums over all directions that some pairs have against their definition.
void expect_defined(const Layer& serial, const Pass& pass) {
  const duality::Duals& duals = *serial.duals;
  for (Index k = 0; k < Layer::pairs_of_all; k += 1234) {
    const auto at = static_cast<std::size_t>(k);
    Matrix<double> dual(Layer::width, Layer::width);
    for (Index o = 0; o < dual.rows(); ++o)
      axpy(duals.inverse[at] * duals.response(k, o), duals.covector.row(k), dual.row(o));
    double captured = 0, curved = 0;
    for (Index n = 0; n < Layer::all; ++n) {
      const double w = dot(serial.vectors.row(n), dual.entries());
      captured += w * w / (duals.norm[at] * duals.norm[at]);
      curved += serial.values[static_cast<std::size_t>(n)] * w * w;
    }
    // Sums of positive terms, each of an inner product of as many entries.
    EXPECT_NEAR(pass.done.captured[at], captured, 1e-13 * Layer::width * captured);
    EXPECT_NEAR(pass.done.curved[at], curved, 1e-13 * Layer::width * curved);
  }
}

class PassStateTest : public ::testing::Test {
 protected:
  const Comm world_{MPI_COMM_WORLD};
  const Comm self_{MPI_COMM_SELF};
  const testing::TemporaryFolder folder_{world_};
  const std::filesystem::path path_ = folder_.path() / "pass.h5";
};

TEST_F(PassStateTest, AStoppedPassGoesOnAtAnotherNumberOfRanksToTheSameBits) {
  const Layer parallel(world_), serial(self_);
  for (const bool complete : {true, false}) {
    Pass expected;
    int blocks = 0;
    expected.after_block = [&blocks] { ++blocks; };
    const auto expected_parts = serial.decompose(expected, complete).accounts.parts;
    EXPECT_EQ(blocks, 2 * (9 + 1));  // of pairs, then one of directions
    EXPECT_EQ(expected.directions(), Layer::all);
    expect_defined(serial, expected);
    for (const int stop : complete ? std::vector{9, 10} : std::vector{13, 20}) {
      SCOPED_TRACE("stopped after " + std::to_string(stop));
      // By all ranks first, then by rank 0 alone, then by all again.
      Pass first;
      ASSERT_TRUE(parallel.stop_after(first, stop, complete));
      write_pass(world_, path_, parallel.of(), first, "mark");
      if (world_.is_root()) {
        Pass second;
        EXPECT_TRUE(read_pass(self_, path_, serial.of(), second));
        EXPECT_EQ(second.blocks, stop % 10);
        EXPECT_EQ(second.directions(), first.directions());
        if (serial.stop_after(second, 3, complete)) write_pass(self_, path_, serial.of(), second, "mark");
      }
      world_.barrier();
      Pass third;
      ASSERT_TRUE(read_pass(world_, path_, parallel.of(), third));
      EXPECT_TRUE(parallel.decompose(third, complete).accounts.parts == expected_parts);
      expect_same(parallel, third, serial, expected);
    }
  }
}

TEST_F(PassStateTest, AnotherPassIsLeftAlone) {
  const Layer layer(world_);
  Pass pass;
  ASSERT_TRUE(layer.stop_after(pass, 3, true));
  write_pass(world_, path_, layer.of(), pass, "mark");
  PassOf other_layer = layer.of(), other_values = layer.of(), other_lanes = layer.of();
  other_layer.layer = "dense1";
  other_values.eigenvalues.back() *= 2;
  other_lanes.lanes = Lanes(Layer::pairs_of_all, 16);
  for (const PassOf& other : {other_layer, other_values, other_lanes}) {
    Pass fresh;
    EXPECT_FALSE(read_pass(world_, path_, other, fresh));
    EXPECT_EQ(fresh.blocks, 0);
    EXPECT_EQ(fresh.projections, nullptr);
  }
}

}  // namespace
}  // namespace dualscape::study
