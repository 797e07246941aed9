#pragma once

#include <cstddef>
#include <new>
#include <span>
#include <vector>

/// Memory as the caches see it.
namespace dualscape {

constexpr std::size_t cache_line = 64;

/// Asks for memory that is read soon, where no prefetcher expects it.
inline void prefetch(std::span<const std::byte> bytes) {
#ifdef __GNUC__
  for (std::size_t i = 0; i < bytes.size(); i += cache_line) __builtin_prefetch(bytes.data() + i);
#endif
}

/// Allocates from the beginning of a cache line on, so that no vector register's load crosses two lines.
template <class T>
struct CacheAligned {
  using value_type = T;
  static constexpr std::align_val_t line{cache_line};

  CacheAligned() = default;
  template <class U>
  CacheAligned(const CacheAligned<U>&) {}

  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), line)); }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, line); }
  bool operator==(const CacheAligned&) const { return true; }
};

template <class T>
using AlignedVector = std::vector<T, CacheAligned<T>>;

}  // namespace dualscape
