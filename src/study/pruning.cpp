#include "dualscape/study/pruning.hpp"

#include <algorithm>
#include <cmath>

#include "dualscape/operators/curvature.hpp"
#include "dualscape/petsc/eigensolver.hpp"

namespace dualscape::study {
namespace {

/// The first three digits of a positive number: what is left of it does not depend on how sums were ordered.
double three_digits(double value) {
  if (!(value > 0)) return 0;
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 2);
  return std::floor(value / unit) * unit;
}

}  // namespace

template <class Real>
PrunedCurvature<Real>::Part::Part(Curvature kind, const nn::Linearisation<Real>& whole,
                                  const nn::BlockLayout& block, Samples<Real> samples,
                                  std::span<const double> parameters, std::optional<std::uint64_t> budget)
    : linearisation(whole.comm(), whole.network(), parameters, std::move(samples),
                    {.tile = whole.tile_size(), .cache_bytes = budget}),
      mean(operators::make_curvature<Real>(kind, linearisation, block)),
      op({{.factor = static_cast<double>(linearisation.lanes().samples()) /
                     static_cast<double>(whole.lanes().samples()),
           .op = *mean}}) {}

template <class Real>
PrunedCurvature<Real>::PrunedCurvature(Curvature kind, const nn::Linearisation<Real>& whole,
                                       const nn::BlockLayout& block, const SamplesAt<Real>& samples_at,
                                       double share, std::uint64_t seed, std::span<const double> parameters,
                                       std::optional<std::uint64_t> budget) {
  const std::vector<double> bounds = operators::sample_bounds(kind, whole, block);
  const auto part = [&](std::span<const Index> chosen) {
    return std::make_unique<Part>(kind, whole, block, samples_at(chosen), parameters, budget);
  };
  // Those few carry most of the norm; how much is a matter of a few digits in a share.
  part_ = part(operators::largest_samples(bounds, std::max<Index>(1, std::ssize(bounds) / 16)));
  constexpr Index products = 5;
  const double norm = petsc::norm_by_lanczos(part_->op, products, seed);
  estimate_products_ = std::min(products, block.size);
  part_.reset();
  choice_ = operators::choose_samples(bounds, share * three_digits(norm));
  part_ = part(choice_.kept);
}

template class PrunedCurvature<double>;
template class PrunedCurvature<float>;

}  // namespace dualscape::study
