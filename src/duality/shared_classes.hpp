#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "dualscape/base/partition.hpp"

/// How ranks share the classes of a search for partners, and what they read at once.
namespace dualscape::duality {

/// One class of both sides. The ranks share the larger side: each reads all of the other one.
struct SharedClass {
  std::span<const Index> anchors, partners;
  bool by_partner;

  std::span<const Index> anchors_of(int rank, int ranks) const {
    return by_partner ? anchors : part(anchors, rank, ranks);
  }
  std::span<const Index> partners_of(int rank, int ranks) const {
    return by_partner ? part(partners, rank, ranks) : partners;
  }

 private:
  static std::span<const Index> part(std::span<const Index> all, int rank, int ranks) {
    const Partition split(std::ssize(all), ranks);
    return all.subspan(static_cast<std::size_t>(split.begin(rank)),
                       static_cast<std::size_t>(split.count(rank)));
  }
};

/// Anchors of small classes that are read at once.
constexpr Index anchors_at_once = 1024;

/// How many of the first classes are searched together: at least one, more where they have few anchors.
inline std::size_t classes_at_once(std::span<const SharedClass> classes, int ranks) {
  std::size_t count = 0;
  Index anchors = 0;
  do anchors += std::ssize(classes[count++].anchors_of(0, ranks));
  while (count < classes.size() &&
         anchors + std::ssize(classes[count].anchors_of(0, ranks)) <= anchors_at_once);
  return count;
}

/// Partners of some classes that any rank has, at most.
inline Index most_partners(std::span<const SharedClass> classes, int ranks) {
  Index most = 0;
  for (int r = 0; r < ranks; ++r) {
    Index size = 0;
    for (const SharedClass& one : classes) size += std::ssize(one.partners_of(r, ranks));
    most = std::max(most, size);
  }
  return most;
}

/// Samples of several classes, class by class.
struct Listing {
  std::vector<Index> positions;
  std::vector<Index> begins{0};  ///< of each class, and the end

  void add(std::span<const Index> more) {
    positions.insert(positions.end(), more.begin(), more.end());
    begins.push_back(std::ssize(positions));
  }
  std::span<const Index> between(Index first, Index last) const {
    return std::span(positions).subspan(static_cast<std::size_t>(first),
                                        static_cast<std::size_t>(last - first));
  }
};

}  // namespace dualscape::duality
