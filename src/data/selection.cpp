#include "dualscape/data/selection.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::data {
namespace {

std::uint32_t substream_of(Index source_class) {
  return static_cast<std::uint32_t>(source_class);
}

void add_sample(SampleSet& set, Index position, int label) {
  set.source_index.push_back(position);
  set.label.push_back(label);
  set.true_label.push_back(label);
}

/// Gives round(share x number) of the samples `members`, all of class `own`, a label of another class.
void make_noise(SampleSet& set, const std::vector<std::size_t>& members, int own, std::size_t classes,
                double share, const Random& random) {
  const auto wrong = static_cast<std::size_t>(std::llround(share * static_cast<double>(members.size())));
  const auto order = random.permutation(static_cast<Index>(members.size()));
  for (std::size_t i = 0; i < wrong; ++i) {
    // Drawn from one class less; those from the true one on move up by one.
    const auto other = static_cast<int>(random.below(members.size() + i, classes - 1));
    set.label[members[static_cast<std::size_t>(order[i])]] = other < own ? other : other + 1;
  }
}

}  // namespace

std::vector<Index> select_classes(std::span<const Index> asked, std::span<const Index> train_labels,
                                  const std::string& where) {
  const std::set<Index> found(train_labels.begin(), train_labels.end());
  if (asked.empty()) return {found.begin(), found.end()};
  std::set<Index> seen;
  for (const Index wanted : asked) {
    if (!seen.insert(wanted).second)
      throw UsageError(fmt::format("data.classes names class {} twice", wanted));
    if (!found.contains(wanted))
      throw DataError(fmt::format("class {} of data.classes does not occur in {}, which has the classes {}",
                                  wanted, where, fmt::join(found, ", ")));
  }
  return {asked.begin(), asked.end()};
}

SampleSet select_training(std::span<const Index> labels, std::span<const Index> classes, Index per_class,
                          double label_noise, std::uint64_t seed, const std::string& where) {
  if (!(label_noise >= 0.0 && label_noise <= 1.0))
    throw UsageError(fmt::format("data.label_noise is {}; it must lie between 0 and 1", label_noise));
  if (label_noise > 0.0 && classes.size() < 2)
    throw UsageError("data.label_noise needs at least two classes");

  std::map<Index, std::vector<Index>> positions;
  for (std::size_t i = 0; i < labels.size(); ++i) positions[labels[i]].push_back(static_cast<Index>(i));

  std::map<Index, int> chosen;  // position in the source -> class
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const auto& members = positions[classes[c]];
    const auto available = static_cast<Index>(members.size());
    if (available < per_class)
      throw DataError(fmt::format("class {} has {} samples in {}, but data.train_per_class = {}", classes[c],
                                  available, where, per_class));
    const Random random(seed, Stream::selection, substream_of(classes[c]));
    auto order = random.permutation(available);
    if (per_class > 0) order.resize(static_cast<std::size_t>(per_class));
    for (const Index i : order) chosen.emplace(members[static_cast<std::size_t>(i)], static_cast<int>(c));
  }

  SampleSet set;
  std::vector<std::vector<std::size_t>> of_class(classes.size());
  for (const auto& [position, label] : chosen) {
    of_class[static_cast<std::size_t>(label)].push_back(set.label.size());
    add_sample(set, position, label);
  }
  for (std::size_t c = 0; c < classes.size(); ++c)
    make_noise(set, of_class[c], static_cast<int>(c), classes.size(), label_noise,
               Random(seed, Stream::label_noise, substream_of(classes[c])));
  return set;
}

SampleSet select_test(std::span<const Index> labels, std::span<const Index> classes, Index count,
                      const std::string& where) {
  SampleSet set;
  for (std::size_t i = 0; i < labels.size() && (count == 0 || set.count() < count); ++i) {
    const auto found = std::ranges::find(classes, labels[i]);
    if (found != classes.end())
      add_sample(set, static_cast<Index>(i), static_cast<int>(found - classes.begin()));
  }
  if (set.count() == 0)
    throw DataError(fmt::format("no test sample is left: {} has none of the classes {}", where,
                                fmt::join(classes, ", ")));
  if (set.count() < count)
    throw DataError(fmt::format("{} has {} test samples of the classes asked for, but data.test_count = {}",
                                where, set.count(), count));
  return set;
}

}  // namespace dualscape::data
