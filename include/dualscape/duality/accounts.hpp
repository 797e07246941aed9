#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/duality/duals.hpp"

/// What each pair adds to each total: the totals by class, and how far they would vary with other pairs.
namespace dualscape::duality {

/// The totals, each a mean over the kept pairs of what a pair adds.
enum class Part { matched_gap, total, complement, sharp, flat, unresolved };
constexpr std::size_t part_count = 6;
constexpr std::array<std::string_view, part_count> part_names = {"matched_gap", "total", "complement",
                                                                 "sharp",       "flat",  "unresolved"};

/// All K pairs in their order, on every rank.
struct PairAccounts {
  std::vector<Index> test;                            ///< position of the test sample
  std::vector<int> label;                             ///< class of both samples
  std::vector<int> test_prediction;                   ///< class of the largest logit of the test sample
  std::vector<int> train_prediction;                  ///< and of the training sample
  std::vector<std::uint8_t> kept;                     ///< 0: the pair is in no mean
  std::array<std::vector<double>, part_count> parts;  ///< Dl_k and how it splits; zero where not kept

  Index count() const { return std::ssize(test); }
};

/// `captured`, `sharp`: of each pair of this rank, the sum of w_kn^2 / |DW_k|^2 over the computed directions
/// and over the sharp ones. @note Collective
PairAccounts make_accounts(const Comm& comm, const Duals& duals, const std::vector<double>& captured,
                           const std::vector<double>& sharp);

/// Totals by class, each (1/K) times the sum over the class's pairs: they add up to the totals.
struct ClassTotals {
  std::vector<Index> pairs;                           ///< kept pairs of each class
  std::array<std::vector<double>, part_count> parts;  ///< one entry a class
  /// Entry (i, j): kept pairs whose training sample the network puts in class i and whose test sample in
  /// class j, and their share of the matched gap.
  Matrix<std::int64_t> confusion;
  Matrix<double> confusion_gap;
};
ClassTotals class_totals(const PairAccounts& accounts, int classes);

struct Interval {
  double low = 0;
  double high = 0;
};

/// Percentile intervals of 95 % for the totals, by resampling test samples, each with all its pairs:
/// conditional on network, training set, eigenvectors, sharp set and pairing. The same at any number of
/// ranks. Nothing for 0 resamples. @note Collective
std::vector<Interval> bootstrap(const Comm& comm, const PairAccounts& accounts, Index resamples,
                                std::uint64_t seed);

}  // namespace dualscape::duality
