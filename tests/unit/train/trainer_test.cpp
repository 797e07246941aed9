#include "dualscape/train/trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/data/shard.hpp"
#include "dualscape/nn/tangent.hpp"
#include "dualscape/operators/curvature.hpp"

namespace dualscape::train {
namespace {

constexpr Index features = 5;
constexpr int classes = 3;

enum class Inputs { dense, sparse };

/// Three clouds of points, one a class. Of sparse ones few coordinates but the class' own are not zero.
data::SampleSet clouds(const Comm& comm, Index count, std::uint32_t stream, Inputs inputs) {
  const Random random(3, Stream::probe, stream);
  const Partition partition(count, comm.size());
  data::Rows rows(partition.count(comm.rank()), features, data::Element::real);
  data::SampleSet set;
  for (Index i = 0; i < count; ++i) {
    const int label = static_cast<int>(i % classes);
    set.source_index.push_back(i);
    set.label.push_back(label);
    set.true_label.push_back(label);
    if (i < partition.begin(comm.rank()) || i >= partition.end(comm.rank())) continue;
    std::vector<double> x;
    for (Index f = 0; f < features; ++f)
      if (const auto at = static_cast<std::uint64_t>(i * features + f);
          inputs == Inputs::dense || f == label || random.uniform(at + 1'000'000) < 0.01)
        x.push_back(random.normal(at) + (f == label ? 3.0 : 0.0));
      else
        x.push_back(0);
    std::memcpy(rows.row(i - partition.begin(comm.rank())).data(), x.data(), x.size() * sizeof(double));
  }
  set.rows = data::DistributedRows(comm, count, std::move(rows));
  return set;
}

nn::Network network(double dropout = 0) {
  return nn::Network(
      features,
      {{.name = "dense1", .units = 7, .activation = Activation::relu, .bias = true, .dropout = dropout},
       {.name = "dense2", .units = classes}},
      Loss::cross_entropy);
}

struct Scene {
  const Comm& comm;
  data::SampleSet train;
  data::SampleSet test;
  nn::Network net;

  explicit Scene(const Comm& comm_, Inputs inputs, Index count = 60, double dropout = 0)
      : comm(comm_),
        train(clouds(comm_, count, 1, inputs)),
        test(clouds(comm_, 30, 2, inputs)),
        net(network(dropout)) {
    const double share = train.rows.fetch(comm, data::all_positions(count)).nonzero_share();
    EXPECT_EQ(share < 0.25, inputs == Inputs::sparse);
  }

  State trained(deck::Training training, std::vector<double> from = {}) const {
    auto trainer = make(std::move(training));
    State state = trainer.start(from.empty() ? net.initial_parameters(5, 1.0) : std::move(from));
    trainer.run(state, [](const State&) { return true; });
    return state;
  }
  Trainer<double> make(deck::Training training) const {
    return Trainer<double>(comm, net, train, test,
                           {.training = std::move(training), .seed = 5, .scale = 1, .lanes = 0});
  }
};

class Training : public ::testing::TestWithParam<Inputs> {};
INSTANTIATE_TEST_SUITE_P(Of, Training, ::testing::Values(Inputs::dense, Inputs::sparse),
                         [](const auto& test) { return test.param == Inputs::dense ? "dense" : "sparse"; });

deck::Training epochs(Index count, Index batch = 10) {
  deck::Training training;
  training.max_epochs = count;
  training.batch_size = batch;
  training.stop_loss = 0;
  return training;
}

/// Mean gradient over the whole training set, from the operators' own code.
std::vector<double> full_gradient(const Scene& scene, const std::vector<double>& parameters) {
  const Lanes lanes(scene.train.count(), 8);
  const nn::Linearisation<double> linearisation(
      scene.comm, scene.net, parameters,
      data::make_samples<double>(scene.comm, scene.train, data::all_positions(scene.train.count()), lanes, 1),
      {});
  return operators::mean_gradient(linearisation, nn::whole_network(scene.net));
}

TEST_P(Training, AFullBatchStepFollowsTheGradient) {
  const Comm comm(MPI_COMM_WORLD);
  for (Index count : {60, 600}) {  // a lane of one tile; two lanes of two tiles each
    const Scene scene(comm, GetParam(), count);
    const auto start = scene.net.initial_parameters(5, 1.0);
    const State state = scene.trained(epochs(1, count));
    const auto gradient = full_gradient(scene, start);
    for (std::size_t i = 0; i < start.size(); ++i)
      EXPECT_NEAR(state.parameters[i], start[i] - 0.1 * gradient[i], 1e-15);
  }
}

TEST_P(Training, ARaggedLastBatchWeighsItsOwnSamples) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam(), 62);
  // A rate too small to move the weights within the epoch: the steps add up to a sum of batch means, in which
  // each of the last two samples weighs 1/2 and each other one 1/20.
  deck::Training training = epochs(1, 20);
  training.learning_rate = 1e-9;
  const auto start = scene.net.initial_parameters(5, 1.0);
  const State state = scene.trained(training);
  const auto order = Random(5, Stream::batch_order, 0).permutation(62);
  const auto gradient_of = [&](std::span<const Index> positions) {
    const Lanes lanes(std::ssize(positions), 1);
    const nn::Linearisation<double> part(
        comm, scene.net, start, data::make_samples<double>(comm, scene.train, positions, lanes, 1), {});
    return operators::mean_gradient(part, nn::whole_network(scene.net));
  };
  const auto main = gradient_of(std::span(order).first(60));
  const auto last = gradient_of(std::span(order).last(2));
  for (std::size_t i = 0; i < start.size(); ++i)
    EXPECT_NEAR((start[i] - state.parameters[i]) / 1e-9, 3 * main[i] + last[i], 1e-5);
}

TEST_P(Training, HasTheSameBitsAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  for (Index batch : {7, 1100}) {  // one lane; four lanes
    deck::Training training = epochs(3, batch);
    training.momentum = 0.9;
    training.learning_rate = 0.01;
    training.weight_decay = {.kind = WeightDecayKind::norm, .strength = 0.01, .epochs = 2};
    const State parallel = Scene(comm, GetParam(), 1200, 0.2).trained(training);
    const State serial = Scene(self, GetParam(), 1200, 0.2).trained(training);
    EXPECT_EQ(parallel.parameters, serial.parameters);
    EXPECT_EQ(parallel.velocity, serial.velocity);
    EXPECT_EQ(parallel.history.loss, serial.history.loss);
    EXPECT_EQ(parallel.history.test_accuracy, serial.history.test_accuracy);
  }
}

TEST_P(Training, ContinuesWithTheSameBits) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam(), 60, 0.3);
  deck::Training training = epochs(6);
  training.momentum = 0.5;
  const State whole = scene.trained(training);
  auto first = scene.make(training);
  State state = first.start(scene.net.initial_parameters(5, 1.0));
  first.run(state, [](const State& now) { return now.epoch < 3; });
  ASSERT_EQ(state.epoch, 3);
  ASSERT_EQ(state.stop, Stop::running);
  auto second = scene.make(training);
  second.run(state, [](const State&) { return true; });
  EXPECT_EQ(state.parameters, whole.parameters);
  EXPECT_EQ(state.history.loss, whole.history.loss);
}

TEST_P(Training, MomentumAccumulatesSteps) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam());
  deck::Training training = epochs(2, 60);
  training.momentum = 0.9;
  const auto start = scene.net.initial_parameters(5, 1.0);
  const auto g1 = full_gradient(scene, start);
  auto middle = start;
  for (std::size_t i = 0; i < start.size(); ++i) middle[i] -= 0.1 * g1[i];
  const auto g2 = full_gradient(scene, middle);
  const State state = scene.trained(training);
  for (std::size_t i = 0; i < start.size(); ++i)
    EXPECT_NEAR(state.parameters[i], middle[i] - 0.1 * (0.9 * g1[i] + g2[i]), 1e-14);
}

TEST_P(Training, WeightDecayAddsItsGradientForItsEpochs) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam());
  const auto start = scene.net.initial_parameters(5, 1.0);
  const State plain = scene.trained(epochs(1, 60));
  for (auto kind : {WeightDecayKind::norm, WeightDecayKind::l2}) {
    deck::Training training = epochs(1, 60);
    training.weight_decay = {.kind = kind, .strength = 0.3, .epochs = 1};
    const State decayed = scene.trained(training);
    const double scale = kind == WeightDecayKind::norm ? 1 / norm(start) : 1.0;
    for (std::size_t i = 0; i < start.size(); ++i)
      EXPECT_NEAR(plain.parameters[i] - decayed.parameters[i], 0.1 * 0.3 * scale * start[i], 1e-15);
    training.weight_decay.epochs = 0;
    EXPECT_EQ(scene.trained(training).parameters, plain.parameters);
  }
}

TEST_P(Training, DropoutActsInTrainingOnly) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene plain(comm, GetParam(), 60, 0.0);
  const Scene dropping(comm, GetParam(), 60, 0.5);
  EXPECT_NE(plain.trained(epochs(1)).parameters, dropping.trained(epochs(1)).parameters);
  const auto start = plain.net.initial_parameters(5, 1.0);
  EXPECT_EQ(plain.make(epochs(1)).start(start).history.loss,
            dropping.make(epochs(1)).start(start).history.loss);
}

TEST_P(Training, DropoutKeepsTheMeanGradientOfTheLastLayer) {
  const Comm comm(MPI_COMM_WORLD);
  // With zero weights in the last layer its logits are zero whatever is dropped, so that the expected
  // gradient with dropout is the gradient without: averaged over many epochs of tiny steps they agree.
  const Scene plain(comm, GetParam(), 60, 0.0);
  const Scene dropping(comm, GetParam(), 60, 0.4);
  auto start = plain.net.initial_parameters(5, 1.0);
  const auto offset = static_cast<std::size_t>(plain.net.layer(1).weight_offset);
  std::fill(start.begin() + static_cast<std::ptrdiff_t>(offset), start.end(), 0.0);
  deck::Training training = epochs(400, 60);
  training.learning_rate = 1e-9;
  const auto a = plain.trained(training, start).parameters;
  const auto b = dropping.trained(training, start).parameters;
  double difference = 0, size = 0;
  for (std::size_t i = offset; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += a[i] * a[i];
  }
  // 400 x 60 draws of relative spread sqrt(0.4 / 0.6) a unit: about half a percent; a wrong scale would be 40
  // %.
  EXPECT_LT(std::sqrt(difference / size), 0.03);
}

TEST_P(Training, StopsOnTheRuleAndLearns) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam());
  deck::Training training = epochs(500);
  training.stop_loss = 0.05;
  training.stop_accuracy = 0.9;
  const State state = scene.trained(training);
  EXPECT_EQ(state.stop, Stop::criterion);
  EXPECT_LT(state.history.loss.back(), 0.05);
  EXPECT_GE(state.history.loss[state.history.loss.size() - 2], 0.05);
  EXPECT_EQ(std::ssize(state.history.epoch), state.epoch + 1);
  EXPECT_GT(state.history.test_accuracy.back(), 0.8);
}

TEST_P(Training, ScoresCountCorrectLabelsOnly) {
  const Comm comm(MPI_COMM_WORLD);
  Scene scene(comm, GetParam());
  scene.train.label[0] = (scene.train.true_label[0] + 1) % classes;
  const auto start = scene.net.initial_parameters(5, 1.0);
  auto trainer = scene.make(epochs(1));
  const auto positions = data::correct_positions(scene.train);
  EXPECT_EQ(std::ssize(positions), 59);
  nn::Model<double> model(scene.net);
  model.set_parameters(start);
  const auto score =
      nn::evaluate(comm, model, data::make_samples<double>(comm, scene.train, positions, Lanes(59, 8), 1));
  EXPECT_EQ(trainer.start(start).history.loss.front(), score.loss);
}

TEST_P(Training, ADivergedLossIsSaid) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam());
  deck::Training training = epochs(50);
  training.learning_rate = 1e200;
  try {
    scene.trained(training);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ComputationError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("training diverged: the loss is"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("lower training.learning_rate (now 1e+200)"));
  }
}

TEST_P(Training, SinglePrecisionFollowsDouble) {
  const Comm comm(MPI_COMM_WORLD);
  const Scene scene(comm, GetParam());
  const State exact = scene.trained(epochs(3));
  Trainer<float> trainer(comm, scene.net, scene.train, scene.test,
                         {.training = epochs(3), .seed = 5, .scale = 1, .lanes = 0});
  State state = trainer.start(scene.net.initial_parameters(5, 1.0));
  trainer.run(state, [](const State&) { return true; });
  // Eighteen steps, each with roundings of float's eps (1.2e-7) in sums of order one.
  for (std::size_t i = 0; i < exact.parameters.size(); ++i)
    EXPECT_NEAR(state.parameters[i], exact.parameters[i], 18 * 10 * 1.2e-7);
}

}  // namespace
}  // namespace dualscape::train
