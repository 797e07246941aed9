#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dualscape/data/dataset.hpp"

/// Which samples of a source are used, and with which labels: functions of the source's labels and the seed
/// alone.
namespace dualscape::data {

/// The classes asked for, or, when none are, every one that occurs in the training labels, ascending. Throws
/// UsageError when a class is named twice, DataError when one does not occur. `where` names the labels in
/// messages.
std::vector<Index> select_classes(std::span<const Index> asked, std::span<const Index> train_labels,
                                  const std::string& where);

/// A random subset of `per_class` training samples of each class (0: all), in the order of the source; a
/// larger one holds a smaller one of the same seed. Then round(label_noise x number) labels of each class are
/// made wrong, uniform over the other classes. The rows stay empty. Throws DataError when a class has too few
/// samples.
SampleSet select_training(std::span<const Index> labels, std::span<const Index> classes, Index per_class,
                          double label_noise, std::uint64_t seed, const std::string& where);

/// The first `count` samples (0: all) that belong to the classes. The rows stay empty. Throws DataError when
/// there are fewer, or none.
SampleSet select_test(std::span<const Index> labels, std::span<const Index> classes, Index count,
                      const std::string& where);

}  // namespace dualscape::data
