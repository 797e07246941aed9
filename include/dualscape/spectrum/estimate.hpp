#pragma once

#include <span>

namespace dualscape::spectrum {

/// A mean over random probes and its standard error; an error of 0 is an exact value.
struct Estimate {
  double value = 0.0;
  double error = 0.0;
};

/// Mean and standard error of independent samples; with a single one the error is 0.
Estimate mean_of(std::span<const double> samples);

/// The square root of an estimate of something that is not negative, to first order in its error.
Estimate root_of(const Estimate& square);

}  // namespace dualscape::spectrum
