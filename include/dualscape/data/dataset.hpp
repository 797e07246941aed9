#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/kinds.hpp"
#include "dualscape/data/rows.hpp"

namespace dualscape::data {

/// Selected samples: their values spread over the ranks, all else on every rank.
struct SampleSet {
  DistributedRows rows;             ///< N rows
  std::vector<Index> source_index;  ///< N positions in the source, ascending
  std::vector<int> label;           ///< N positions in Dataset::classes; label noise included
  std::vector<int> true_label;      ///< N positions in Dataset::classes, as the source has them

  Index count() const { return static_cast<Index>(source_index.size()); }
  /// Whether sample i carries the source's label.
  bool label_correct(Index i) const {
    return label[static_cast<std::size_t>(i)] == true_label[static_cast<std::size_t>(i)];
  }
};

struct Dataset {
  SampleSet train;
  SampleSet test;
  std::vector<Index> classes;       ///< the source's labels, in the order of the network's outputs
  Index features = 0;               ///< values of a sample
  std::vector<Index> sample_shape;  ///< as the source has them, 28 x 28 for instance
  std::string description;          ///< where the samples came from
};

/// What is read and what is selected from it: the table [data] of a deck.
struct Options {
  Source source = Source::fashion_mnist;
  /// Folder or file. Empty for a named source: $DUALSCAPE_DATA/<name>, then its usual places.
  std::filesystem::path path;
  std::vector<Index> classes;  ///< empty: every class of the training samples, ascending
  Index train_per_class = 0;   ///< 0: all
  Index test_count = 0;        ///< 0: all
  double label_noise = 0.0;    ///< share of wrong training labels in each class
  std::uint64_t seed = 1;
};

/// Sources that stay open, with what of them is in memory, for those who load from the same ones again and
/// again. Not collective; of use on rank 0 only.
class Cache {
 public:
  Cache();
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  struct Sources;
  Sources& sources() { return *sources_; }

 private:
  std::unique_ptr<Sources> sources_;
};

/// How much load() would select.
struct Sizes {
  Index train = 0;
  Index test = 0;
  Index features = 0;
  Index classes = 0;
};
/// Throws the errors of load() but those about too few samples. Not collective.
Sizes measure(const Options& options, Cache& cache);

/// Reads and selects on rank 0 and spreads the samples over the ranks. What is selected depends on the
/// options alone, not on the ranks. Sources: IDX files, plain or gzip (fashion-mnist, mnist, idx); the binary
/// version of CIFAR-10; an HDF5 file with data/train/x (N x ...), data/train/y (N), data/test/x, data/test/y.
/// Throws DataError on every rank when the data cannot be used, UsageError when the options cannot. @note
/// Collective
Dataset load(const Comm& comm, const Options& options, Cache& cache);
Dataset load(const Comm& comm, const Options& options);

}  // namespace dualscape::data
