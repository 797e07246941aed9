#include "dualscape/base/memory.hpp"

#include <cstdlib>  // defines __GLIBC__ where it is the C library

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace dualscape {

void keep_freed_memory() {
#ifdef __GLIBC__
  // 32 MiB is the largest value glibc takes.
  constexpr int threshold = 32 << 20;
  mallopt(M_MMAP_THRESHOLD, threshold);
  mallopt(M_TRIM_THRESHOLD, 8 * threshold);
#endif
}

}  // namespace dualscape
