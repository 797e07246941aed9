#include "dualscape/duality/pairing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/partition.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::duality {
namespace {

/// Partners compared at once.
constexpr Index block_size = 1024;
/// Anchors compared at once.
constexpr Index anchor_block = 256;

double squared_norm(std::span<const double> x) {
  double sum = 0;
  for (double value : x) sum += value * value;
  return sum;
}

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

/// The anchors of one rank and class with the best partners so far.
class Search {
 public:
  Search(Matrix<double> anchors, bool integral, Index neighbours)
      : anchors_(std::move(anchors)), integral_(integral), best_(anchors_.rows(), neighbours) {
    for (Index i = 0; i < anchors_.rows(); ++i) norms_.push_back(squared_norm(anchors_.row(i)));
  }

  void compare(const Matrix<double>& partners, std::span<const Index> positions) {
    std::vector<double> norms;
    for (Index j = 0; j < partners.rows(); ++j) norms.push_back(squared_norm(partners.row(j)));
    Matrix<double> products(std::min(anchor_block, anchors_.rows()), partners.rows());
    for (Index first = 0; first < anchors_.rows(); first += anchor_block) {
      const Index count = std::min(anchor_block, anchors_.rows() - first);
      gemm<double>(Op::none, Op::transpose, -2.0, anchors_.view().rows_from(first, count), partners.view(),
                   0.0, products.top(count));
      for (Index i = 0; i < count; ++i) settle(first + i, products.row(i), partners, norms, positions);
    }
  }

  /// The matches of anchor i, which is at `position`, from the `rank`-th nearest on.
  void append(Index i, Index position, Index rank, std::vector<Match>& matches) const {
    for (const Best& best : best_.row(i).subspan(static_cast<std::size_t>(rank - 1)))
      matches.push_back({.anchor = position, .partner = best.partner, .distance = std::sqrt(best.squared)});
  }

 private:
  struct Best {
    double squared = std::numeric_limits<double>::infinity();
    Index partner = -1;
  };

  void settle(Index i, std::span<const double> products, const Matrix<double>& partners,
              std::span<const double> norms, std::span<const Index> positions) {
    const std::span<Best> best = best_.row(i);
    const double own = norms_[static_cast<std::size_t>(i)];
    for (std::size_t j = 0; j < norms.size(); ++j) {
      double squared = own + norms[j] + products[j];
      if (!integral_) {
        // The three terms carry at most about `coordinates` roundings each: what might still be nearer is
        // computed anew.
        const double rounding = 4.0 * static_cast<double>(anchors_.cols() + 2) *
                                std::numeric_limits<double>::epsilon() * (own + norms[j]);
        if (squared - rounding >= best.back().squared) continue;
        squared = squared_distance(anchors_.row(i), partners.row(static_cast<Index>(j)));
      }
      if (squared >= best.back().squared) continue;
      // Behind those that are equally near: they have lower positions.
      const auto place = std::ranges::upper_bound(best, squared, {}, &Best::squared);
      std::shift_right(place, best.end(), 1);
      *place = {.squared = squared, .partner = positions[j]};
    }
  }

  Matrix<double> anchors_;
  bool integral_;
  std::vector<double> norms_;
  Matrix<Best> best_;  ///< anchors x neighbours, ascending
};

/// Every rank's matches on every rank, in the order of their anchors.
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
  std::ranges::stable_sort(all, {}, &Match::anchor);
  return all;
}

}  // namespace

std::vector<Match> nearest(const Comm& comm, const Side& anchors, const Side& partners, bool integral,
                           const std::string& anchor_name, const std::string& partner_name, Index neighbours,
                           Index rank) {
  const auto partner_classes = by_class(partners);
  check_partners(anchors, partner_classes, anchor_name, partner_name, neighbours, rank);
  std::vector<Match> own;
  for (const auto& [label, positions] : by_class(anchors)) {
    const Partition split(std::ssize(positions), comm.size());
    const auto mine = std::span(positions).subspan(static_cast<std::size_t>(split.begin(comm.rank())),
                                                   static_cast<std::size_t>(split.count(comm.rank())));
    Search search(anchors.rows(mine), integral, neighbours + rank - 1);
    const std::span candidates(partner_classes.at(label));
    for (std::size_t first = 0; first < candidates.size(); first += block_size) {
      const auto block =
          candidates.subspan(first, std::min<std::size_t>(block_size, candidates.size() - first));
      search.compare(partners.rows(block), block);
    }
    for (std::size_t i = 0; i < mine.size(); ++i) search.append(static_cast<Index>(i), mine[i], rank, own);
  }
  return share(comm, own);
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
