#include "dualscape/base/live_objects.hpp"

namespace dualscape {
namespace {

int live_count = 0;

}  // namespace

void count_live_object(int change) noexcept {
  live_count += change;
}

int live_objects() noexcept {
  return live_count;
}

}  // namespace dualscape
