#pragma once

#include "dualscape/base/clock.hpp"
#include "dualscape/base/comm.hpp"

namespace dualscape::study {

/// When it is time to write where a stage stands.
class Pace {
 public:
  Pace(const Comm& comm, double seconds) : comm_(comm), seconds_(seconds) {}
  /// By rank 0's clock. Not collective.
  bool due_here() const { return comm_.is_root() && seconds_since(last_) >= seconds_; }
  /// @note Collective
  bool due() const { return comm_.broadcast_value(due_here()); }
  void written() { last_ = Clock::now(); }

 private:
  const Comm& comm_;
  double seconds_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace dualscape::study
