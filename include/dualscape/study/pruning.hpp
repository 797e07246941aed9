#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "dualscape/deck/config.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/operators/composition.hpp"
#include "dualscape/operators/sample_bounds.hpp"

/// A curvature operator without the samples that matter least: what a solve may use in place of the whole
/// one.
namespace dualscape::study {

/// This rank's share of the analysed samples at `chosen` (ascending), in lanes of their own, which spread
/// them evenly over the ranks again. @note Collective
template <class Real>
using SamplesAt = std::function<Samples<Real>(std::span<const Index> chosen)>;

/// sum_(p kept) h_p / N, N the number of all samples, over a linearisation of the kept ones. The norm of the
/// difference to the mean over all is at most bound().
///
/// The choice is the same at any number of ranks: sample bounds have the same bits there, and the norm it is
/// relative to is cut to three digits.
template <class Real>
class PrunedCurvature {
 public:
  /// Drops samples as long as their bounds' sum over N is at most `share` of an estimate of |H|, from the
  /// sixteenth of the samples with the largest bounds. `budget`: bytes left to the cache of activities.
  /// @note Collective
  PrunedCurvature(Curvature kind, const nn::Linearisation<Real>& whole, const nn::BlockLayout& block,
                  const SamplesAt<Real>& samples_at, double share, std::uint64_t seed,
                  std::span<const double> parameters, std::optional<std::uint64_t> budget);

  const LinearOperator& op() const { return part_->op; }
  Index dropped() const { return choice_.dropped; }
  double bound() const { return choice_.bound; }
  /// Products that the estimate of |H| took, with few samples.
  Index estimate_products() const { return estimate_products_; }

 private:
  /// The mean over all samples of what some of them add.
  struct Part {
    Part(Curvature kind, const nn::Linearisation<Real>& whole, const nn::BlockLayout& block,
         Samples<Real> samples, std::span<const double> parameters, std::optional<std::uint64_t> budget);

    nn::Linearisation<Real> linearisation;
    std::unique_ptr<LinearOperator> mean;  ///< over these samples
    operators::Combination op;
  };

  operators::SampleChoice choice_;
  Index estimate_products_ = 0;
  std::unique_ptr<Part> part_;
};

}  // namespace dualscape::study
