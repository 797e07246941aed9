#pragma once

#include <utility>
#include <vector>

#include "dualscape/train/trainer.hpp"

namespace dualscape::study {

/// Where a training that a signal stops within an epoch falls back to.
class EpochEnd {
 public:
  explicit EpochEnd(const train::State& state)
      : epoch_(state.epoch),
        evaluations_(state.history.epoch.size()),
        parameters_(state.parameters),
        velocity_(state.velocity) {}

  void restore(train::State& state) {
    state.epoch = epoch_;
    state.parameters = std::move(parameters_);
    state.velocity = std::move(velocity_);
    state.history.epoch.resize(evaluations_);
    for (auto* values : {&state.history.loss, &state.history.accuracy, &state.history.test_loss,
                         &state.history.test_accuracy})
      values->resize(evaluations_);
  }

 private:
  Index epoch_;
  std::size_t evaluations_;
  std::vector<double> parameters_;
  std::vector<double> velocity_;
};

}  // namespace dualscape::study
