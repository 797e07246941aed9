#include "dualscape/duality/pairing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/partition.hpp"
#include "dualscape/base/random.hpp"
#include "shared_classes.hpp"

namespace dualscape::duality {
namespace {

/// Partners read at once.
constexpr Index block_size = 1024;
/// Anchors compared at once.
constexpr Index anchor_block = 256;

double squared_distance(std::span<const double> x, std::span<const double> y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sum;
}

/// Positions of each class, ascending.
std::map<int, std::vector<Index>> by_class(const Side& side) {
  std::map<int, std::vector<Index>> classes;
  for (std::size_t i = 0; i < side.positions.size(); ++i)
    classes[side.labels[i]].push_back(side.positions[i]);
  return classes;
}

void check_partners(const Side& anchors, const std::map<int, std::vector<Index>>& partners,
                    const std::string& anchor_name, const std::string& partner_name, Index neighbours,
                    Index rank = 1) {
  for (std::size_t i = 0; i < anchors.positions.size(); ++i) {
    const auto found = partners.find(anchors.labels[i]);
    if (found == partners.end())
      throw DataError(
          fmt::format("{} sample {} has no partner: no {} sample is of its class (number {} of data.classes)",
                      anchor_name, anchors.positions[i], partner_name, anchors.labels[i]));
    if (std::ssize(found->second) < neighbours + rank - 1)
      throw DataError(fmt::format(
          "{} sample {} has too few partners: {} {} samples are of its class (number {} of data.classes), "
          "duality.neighbours = {} are asked for{}",
          anchor_name, anchors.positions[i], found->second.size(), partner_name, anchors.labels[i],
          neighbours, rank > 1 ? fmt::format(" from duality.neighbour_rank = {} on", rank) : ""));
  }
}

bool are_pixels(ConstMatrixView<double> values) {
  if (values.cols > most_pixels) return false;
  unsigned outside = 0;
  for (Index i = 0; i < values.rows; ++i)
    for (double x : values.row(i)) outside |= x >= 0 && x <= 255 ? 0u : 1u;
  return outside == 0;
}

template <class T>
void centre_pixels(ConstMatrixView<T> values, MatrixView<float> centred) {
  for (Index i = 0; i < values.rows; ++i)
    std::ranges::transform(values.row(i), centred.row(i).begin(),
                           [](T x) { return static_cast<float>(x) - 128; });
}

/// What a comparison of blocks needs, kept between blocks and classes.
struct Buffers {
  std::vector<double> norms, products;
  std::vector<float> centred, single_products;
};

/// In sixteen partial sums, which a processor adds side by side.
template <class Real>
double squared_norm(std::span<const Real> x) {
  std::array<Real, 16> sums{};
  std::size_t i = 0;
  for (; i + sums.size() <= x.size(); i += sums.size())
    for (std::size_t l = 0; l < sums.size(); ++l) sums[l] += x[i + l] * x[i + l];
  for (; i < x.size(); ++i) sums[i % sums.size()] += x[i] * x[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <class Real>
void squared_norms(MatrixView<const Real> x, std::vector<double>& norms) {
  norms.resize(static_cast<std::size_t>(x.rows));
  for (Index i = 0; i < x.rows; ++i) norms[static_cast<std::size_t>(i)] = squared_norm<Real>(x.row(i));
}

/// The anchors of one rank and class, which are elsewhere, with the best partners so far.
class Search {
 public:
  Search(ConstMatrixView<double> anchors, bool integral, Index neighbours, Buffers& buffers)
      : buffers_(buffers),
        anchors_(anchors),
        integral_(integral),
        pixels_(integral && are_pixels(anchors)),
        best_(anchors.rows, neighbours) {
    if (pixels_) centre(anchors);
  }

  Search(ConstMatrixView<std::uint8_t> anchors, bool, Index neighbours, Buffers& buffers)
      : buffers_(buffers), integral_(true), pixels_(true), best_(anchors.rows, neighbours) {
    centre(anchors);
  }

  void compare(ConstMatrixView<std::uint8_t> partners, std::span<const Index> positions) {
    if (best_.rows() > 0 && partners.rows > 0) compare_pixels(partners, {}, positions);
  }

  void compare(ConstMatrixView<double> partners, std::span<const Index> positions) {
    if (anchors_.rows == 0 || partners.rows == 0) return;
    if (!pixels_ || !are_pixels(partners)) {
      if (norms_.empty()) squared_norms<double>(anchors_, norms_);
      return compare_in<double>(anchors_, norms_, partners, partners, positions, buffers_.products);
    }
    compare_pixels(partners, partners, positions);
  }

  /// What was found for anchor i, which is at `position`: with squared distances, no more than asked for.
  void append(Index i, Index position, std::vector<Match>& matches) const {
    for (const Best& best : best_.row(i))
      if (best.partner >= 0)
        matches.push_back({.anchor = position, .partner = best.partner, .distance = best.squared});
  }

 private:
  struct Best {
    double squared = std::numeric_limits<double>::infinity();
    Index partner = -1;
  };

  template <class T>
  void centre(ConstMatrixView<T> anchors) {
    centred_ = Matrix<float>(anchors.rows, anchors.cols);
    centre_pixels<T>(anchors, centred_.view());
    squared_norms<float>(centred_.view(), centred_norms_);
  }

  template <class T>
  void compare_pixels(ConstMatrixView<T> pixels, ConstMatrixView<double> partners,
                      std::span<const Index> positions) {
    const auto centred = shaped(buffers_.centred, pixels.rows, pixels.cols);
    centre_pixels<T>(pixels, centred);
    compare_in<float>(std::as_const(centred_).view(), centred_norms_, centred, partners, positions,
                      buffers_.single_products);
  }

  /// In one precision and one set of coordinates, equally distant to `partners`' own, which only coordinates
  /// that are not integral need.
  template <class Real>
  void compare_in(MatrixView<const Real> left, const std::vector<double>& left_norms,
                  MatrixView<const Real> right, ConstMatrixView<double> partners,
                  std::span<const Index> positions, std::vector<Real>& buffer) {
    squared_norms<Real>(right, buffers_.norms);
    for (Index first = 0; first < left.rows; first += anchor_block) {
      const Index count = std::min(anchor_block, left.rows - first);
      const auto products = shaped(buffer, count, right.rows);
      gemm<Real>(Op::none, Op::transpose, Real(-2), left.rows_from(first, count), right, Real(0), products);
      for (Index i = 0; i < count; ++i)
        settle<Real>(first + i, left_norms[static_cast<std::size_t>(first + i)], products.row(i), partners,
                     positions);
    }
  }

  template <class Real>
  void settle(Index i, double own, std::span<const Real> products, ConstMatrixView<double> partners,
              std::span<const Index> positions) {
    const std::span<Best> best = best_.row(i);
    // The three terms carry at most about `coordinates` roundings each: what might still be nearer is
    // computed anew.
    const double rounding =
        integral_ ? 0.0
                  : 4.0 * static_cast<double>(anchors_.cols + 2) * std::numeric_limits<double>::epsilon();
    const auto below = [&](std::size_t j, double limit) {
      const double sum = own + buffers_.norms[j];
      return sum + products[j] - rounding * sum < limit;
    };
    for (std::size_t first = 0; first < products.size(); first += 64) {
      const std::size_t end = std::min(first + 64, products.size());
      const double limit = best.back().squared;
      unsigned any = 0;
      for (std::size_t j = first; j < end; ++j) any |= below(j, limit) ? 1u : 0u;
      for (std::size_t j = first; any != 0 && j < end; ++j) {
        if (!below(j, best.back().squared)) continue;
        const double squared = integral_
                                   ? own + buffers_.norms[j] + products[j]
                                   : squared_distance(anchors_.row(i), partners.row(static_cast<Index>(j)));
        if (squared < best.back().squared) insert(best, {.squared = squared, .partner = positions[j]});
      }
    }
  }

  /// Behind those that are equally near: they have lower positions.
  static void insert(std::span<Best> best, const Best& found) {
    const auto place = std::ranges::upper_bound(best, found.squared, {}, &Best::squared);
    std::shift_right(place, best.end(), 1);
    *place = found;
  }

  Buffers& buffers_;
  ConstMatrixView<double> anchors_;
  bool integral_;
  bool pixels_;
  std::vector<double> norms_, centred_norms_;
  Matrix<float> centred_;
  Matrix<Best> best_;  ///< anchors x neighbours, ascending
};

/// Every rank's matches on every rank, one rank's behind the other's.
std::vector<Match> share(const Comm& comm, const std::vector<Match>& own) {
  const int bytes = static_cast<int>(own.size() * sizeof(Match));
  std::vector<int> counts(static_cast<std::size_t>(comm.size())), starts(counts);
  MPI_Allgather(&bytes, 1, MPI_INT, counts.data(), 1, MPI_INT, comm.get());
  int total = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    starts[r] = total;
    total += counts[r];
  }
  std::vector<Match> all(static_cast<std::size_t>(total) / sizeof(Match));
  MPI_Allgatherv(own.data(), bytes, MPI_BYTE, all.data(), counts.data(), starts.data(), MPI_BYTE, comm.get());
  return all;
}

/// Of each anchor's matches from all ranks, with squared distances, the `neighbours` from the `rank`-th on.
std::vector<Match> nearest_of(std::vector<Match> found, Index neighbours, Index rank) {
  std::ranges::sort(found, {}, [](const Match& m) { return std::tuple(m.anchor, m.distance, m.partner); });
  std::vector<Match> matches;
  Index place = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    place = i > 0 && found[i].anchor == found[i - 1].anchor ? place + 1 : 1;
    if (place < rank || place >= rank + neighbours) continue;
    matches.push_back(found[i]);
    matches.back().distance = std::sqrt(found[i].distance);
  }
  return matches;
}

template <class T>
using Fetch = std::function<Matrix<T>(std::span<const Index> positions)>;

/// Appends the matches of the anchors that this rank has of some classes with the partners it has: one
/// exchange for the anchors, then one for each block of partners, whatever classes these are of.
template <class T>
void search(const Comm& comm, std::span<const SharedClass> classes, const Fetch<T>& anchors,
            const Fetch<T>& partners, bool integral, Index kept, Buffers& buffers,
            std::vector<Match>& matches) {
  Listing mine, theirs;
  for (const SharedClass& one : classes) {
    mine.add(one.anchors_of(comm.rank(), comm.size()));
    theirs.add(one.partners_of(comm.rank(), comm.size()));
  }
  const Matrix<T> all = anchors(mine.positions);
  std::vector<Search> searches;
  for (std::size_t c = 0; c < classes.size(); ++c)
    searches.emplace_back(all.view().rows_from(mine.begins[c], mine.begins[c + 1] - mine.begins[c]), integral,
                          kept, buffers);
  const Index end = theirs.begins.back();
  for (Index begin = 0; begin < most_partners(classes, comm.size()); begin += block_size) {
    const Index from = std::min(begin, end), to = std::min(begin + block_size, end);
    const Matrix<T> rows = partners(theirs.between(from, to));
    for (std::size_t c = 0; c < classes.size(); ++c) {
      const Index first = std::clamp(theirs.begins[c], from, to);
      const Index last = std::clamp(theirs.begins[c + 1], from, to);
      searches[c].compare(rows.view().rows_from(first - from, last - first), theirs.between(first, last));
    }
  }
  for (std::size_t c = 0; c < classes.size(); ++c)
    for (Index i = mine.begins[c]; i < mine.begins[c + 1]; ++i)
      searches[c].append(i - mine.begins[c], mine.positions[static_cast<std::size_t>(i)], matches);
}

}  // namespace

std::vector<Match> nearest(const Comm& comm, const Side& anchors, const Side& partners, bool integral,
                           const std::string& anchor_name, const std::string& partner_name, Index neighbours,
                           Index rank) {
  const auto anchor_classes = by_class(anchors), partner_classes = by_class(partners);
  check_partners(anchors, partner_classes, anchor_name, partner_name, neighbours, rank);
  std::vector<SharedClass> classes;
  for (const auto& [label, positions] : anchor_classes)
    classes.push_back({.anchors = positions,
                       .partners = partner_classes.at(label),
                       .by_partner = partner_classes.at(label).size() > positions.size()});
  std::vector<Match> own;
  Buffers buffers;
  const Index kept = neighbours + rank - 1;
  for (std::span<const SharedClass> left = classes; !left.empty();) {
    const auto some = left.first(classes_at_once(left, comm.size()));
    if (anchors.pixels && partners.pixels)
      search<std::uint8_t>(comm, some, anchors.pixels, partners.pixels, true, kept, buffers, own);
    else
      search<double>(comm, some, anchors.rows, partners.rows, integral, kept, buffers, own);
    left = left.subspan(some.size());
  }
  return nearest_of(share(comm, own), neighbours, rank);
}

std::vector<Match> random_match(const Comm& comm, const Side& anchors, const Side& partners,
                                std::uint64_t seed, const std::string& anchor_name,
                                const std::string& partner_name, Index neighbours) {
  const auto partner_classes = by_class(partners);
  check_partners(anchors, partner_classes, anchor_name, partner_name, 1);
  const Partition split(std::ssize(anchors.positions), comm.size());
  std::vector<Match> own;
  std::vector<Index> anchor_positions, partner_positions;
  for (Index i = split.begin(comm.rank()); i < split.end(comm.rank()); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto& candidates = partner_classes.at(anchors.labels[at]);
    for (Index j = 0; j < neighbours; ++j) {
      const Random random(seed, Stream::pairing, static_cast<std::uint32_t>(j));
      anchor_positions.push_back(anchors.positions[at]);
      partner_positions.push_back(
          candidates[random.below(static_cast<std::uint64_t>(anchors.positions[at]), candidates.size())]);
    }
  }
  const auto left = anchors.rows(anchor_positions);
  const auto right = partners.rows(partner_positions);
  for (std::size_t i = 0; i < anchor_positions.size(); ++i)
    own.push_back({.anchor = anchor_positions[i],
                   .partner = partner_positions[i],
                   .distance = std::sqrt(
                       squared_distance(left.row(static_cast<Index>(i)), right.row(static_cast<Index>(i))))});
  return share(comm, own);
}

std::vector<Pair> as_pairs(const std::vector<Match>& matches, Anchor anchor) {
  std::vector<Pair> pairs;
  for (const Match& match : matches)
    pairs.push_back(anchor == Anchor::test ? Pair{match.anchor, match.partner, match.distance}
                                           : Pair{match.partner, match.anchor, match.distance});
  return pairs;
}

}  // namespace dualscape::duality
