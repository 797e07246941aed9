#pragma once

#include <chrono>
#include <string>

#include "dualscape/base/log.hpp"

namespace dualscape {

/// Shows how far a long piece of work has come: a bar that redraws itself on a terminal, a plain line every
/// few seconds where the output is a file.
class Progress {
 public:
  /// `total` = 0 when the end is not known beforehand. `unit`: what is counted, e.g. "epochs".
  Progress(Log& log, std::string label, std::string unit, double total);
  /// Finishes the line of a bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` units so far; `note` follows the bar, e.g. "loss 0.0123".
  void update(double done, const std::string& note = "");

 private:
  void draw(double done, const std::string& note);

  Log& log_;
  std::string label_;
  std::string unit_;
  double total_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace dualscape
