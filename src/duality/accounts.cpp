#include "dualscape/duality/accounts.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "dualscape/base/partition.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::duality {
namespace {

constexpr double lower_tail = 0.025;

/// Sums over the kept pairs of one test sample, and their number.
struct Cluster {
  double pairs = 0;
  std::array<double, part_count> parts{};
};

std::vector<Cluster> by_test_sample(const PairAccounts& accounts) {
  std::map<Index, Cluster> clusters;
  for (std::size_t k = 0; k < accounts.test.size(); ++k) {
    if (accounts.kept[k] == 0) continue;
    Cluster& cluster = clusters[accounts.test[k]];
    ++cluster.pairs;
    for (std::size_t p = 0; p < part_count; ++p) cluster.parts[p] += accounts.parts[p][k];
  }
  std::vector<Cluster> list;
  for (const auto& [test, cluster] : clusters) list.push_back(cluster);
  return list;
}

/// The totals of one resample: as many clusters as there are, drawn with replacement.
std::array<double, part_count> resampled(const std::vector<Cluster>& clusters, const Random& random) {
  Cluster sum;
  for (std::size_t draw = 0; draw < clusters.size(); ++draw) {
    const Cluster& cluster = clusters[random.below(draw, clusters.size())];
    sum.pairs += cluster.pairs;
    for (std::size_t p = 0; p < part_count; ++p) sum.parts[p] += cluster.parts[p];
  }
  for (double& part : sum.parts) part /= sum.pairs;
  return sum.parts;
}

/// Quantile by linear interpolation between the order statistics.
double quantile(std::span<const double> ascending, double level) {
  const double place = level * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (place - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

}  // namespace

PairAccounts make_accounts(const Comm& comm, const Duals& duals, const std::vector<double>& captured,
                           const std::vector<double>& sharp) {
  // A pair's numbers travel together: position and classes are far below 2^53.
  constexpr std::size_t position = part_count, values = part_count + 5;
  std::vector<double> own(values * duals.state.size());
  for (std::size_t k = 0; k < duals.state.size(); ++k) {
    const std::span<double> pair(own.data() + values * k, values);
    const auto at = [&](Part part) -> double& { return pair[static_cast<std::size_t>(part)]; };
    const bool kept = duals.state[k] != DualState::dropped;
    const double gap = duals.loss_gap[k];
    std::ranges::copy(std::array{static_cast<double>(duals.test[k]), static_cast<double>(duals.label[k]),
                                 static_cast<double>(duals.test_prediction[k]),
                                 static_cast<double>(duals.train_prediction[k]), kept ? 1.0 : 0.0},
                      pair.begin() + position);
    if (!kept) continue;
    at(Part::matched_gap) = gap;
    if (duals.state[k] == DualState::zero) {
      at(Part::unresolved) = gap;
      continue;
    }
    at(Part::total) = gap * captured[k];
    at(Part::complement) = gap * (1 - captured[k]);
    at(Part::sharp) = gap * sharp[k];
    at(Part::flat) = gap * (1 - sharp[k]);
  }
  const auto all = gather_pairs(comm, duals, own, values);
  PairAccounts accounts;
  for (std::size_t first = 0; first < all.size(); first += values) {
    for (std::size_t p = 0; p < part_count; ++p) accounts.parts[p].push_back(all[first + p]);
    const double* of_pair = all.data() + first + position;
    accounts.test.push_back(static_cast<Index>(of_pair[0]));
    accounts.label.push_back(static_cast<int>(of_pair[1]));
    accounts.test_prediction.push_back(static_cast<int>(of_pair[2]));
    accounts.train_prediction.push_back(static_cast<int>(of_pair[3]));
    accounts.kept.push_back(of_pair[4] != 0);
  }
  return accounts;
}

ClassTotals class_totals(const PairAccounts& accounts, int classes) {
  const auto size = static_cast<std::size_t>(classes);
  ClassTotals totals{.pairs = std::vector<Index>(size),
                     .confusion = {classes, classes},
                     .confusion_gap = {classes, classes}};
  const auto kept = std::ranges::count(accounts.kept, 1);
  const double weight = 1.0 / static_cast<double>(std::max<Index>(1, kept));
  for (auto& part : totals.parts) part.resize(size);
  for (std::size_t k = 0; k < accounts.test.size(); ++k) {
    if (accounts.kept[k] == 0) continue;
    const auto label = static_cast<std::size_t>(accounts.label[k]);
    ++totals.pairs[label];
    for (std::size_t p = 0; p < part_count; ++p) totals.parts[p][label] += weight * accounts.parts[p][k];
    const Index from = accounts.train_prediction[k], to = accounts.test_prediction[k];
    ++totals.confusion(from, to);
    totals.confusion_gap(from, to) += weight * accounts.parts[0][k];
  }
  return totals;
}

std::vector<Interval> bootstrap(const Comm& comm, const PairAccounts& accounts, Index resamples,
                                std::uint64_t seed) {
  if (resamples == 0) return {};
  const auto clusters = by_test_sample(accounts);
  if (clusters.empty()) return std::vector<Interval>(part_count);
  const Partition split(resamples, comm.size());
  Matrix<double> own(part_count, split.count(comm.rank()));
  for (Index i = 0; i < own.cols(); ++i) {
    const auto substream = static_cast<std::uint32_t>(split.begin(comm.rank()) + i);
    const auto totals = resampled(clusters, Random(seed, Stream::bootstrap, substream));
    for (std::size_t p = 0; p < part_count; ++p) own(static_cast<Index>(p), i) = totals[p];
  }
  Matrix<double> all(part_count, resamples);
  gather_all(comm, split, own.view(), all.view());
  std::vector<Interval> intervals;
  for (Index p = 0; p < all.rows(); ++p) {
    std::ranges::sort(all.row(p));
    intervals.push_back({quantile(all.row(p), lower_tail), quantile(all.row(p), 1 - lower_tail)});
  }
  return intervals;
}

}  // namespace dualscape::duality
