#pragma once

#include <chrono>

namespace dualscape {

using Clock = std::chrono::steady_clock;

/// Wall time since then. Each rank has a clock of its own.
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace dualscape
