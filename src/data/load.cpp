#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "dualscape/data/dataset.hpp"
#include "dualscape/data/selection.hpp"
#include "reader.hpp"

namespace dualscape::data {

struct Cache::Sources {
  std::map<std::pair<Source, std::filesystem::path>, Readers> open;

  const Readers& of(const Options& options) {
    const std::pair key(options.source, options.path);
    const auto found = open.find(key);
    return found != open.end() ? found->second : open.emplace(key, open_readers(options)).first->second;
  }
};

Cache::Cache() : sources_(std::make_unique<Sources>()) {}
Cache::~Cache() = default;

namespace {

/// Samples travel to their ranks in pieces of about this size.
constexpr std::size_t piece_bytes = 32 << 20;

/// Everything but the rows. @note Collective
void share(const Comm& comm, SampleSet& set) {
  comm.broadcast(set.source_index);
  comm.broadcast(set.label);
  comm.broadcast(set.true_label);
}

/// Reads the set's rows piece by piece on rank 0, where `reader` is, and sends each to its rank. @note
/// Collective
void spread(const Comm& comm, Reader* reader, Index features, SampleSet& set) {
  const Element element = comm.broadcast_value(reader != nullptr ? reader->element : Element::byte);
  const Partition partition(set.count(), comm.size());
  Rows local;
  collectively(comm, [&] { local = Rows(partition.count(comm.rank()), features, element); });
  const auto step =
      std::max<Index>(1, static_cast<Index>(piece_bytes / std::max<std::size_t>(1, local.row_bytes())));
  for (int owner = 0; owner < comm.size(); ++owner) {
    for (Index first = partition.begin(owner); first < partition.end(owner); first += step) {
      const Index count = std::min(step, partition.end(owner) - first);
      Rows piece;
      on_root(comm, [&] {
        piece = Rows(count, features, element);
        reader->read(std::span(set.source_index)
                         .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
                     piece);
      });
      const auto bytes = static_cast<std::size_t>(count) * local.row_bytes();
      std::byte* target =
          local.data() + static_cast<std::size_t>(first - partition.begin(owner)) * local.row_bytes();
      if (owner == 0) {
        if (comm.is_root()) std::copy_n(piece.data(), bytes, target);
      } else if (comm.is_root()) {
        MPI_Send(piece.data(), static_cast<int>(bytes), MPI_BYTE, owner, 0, comm.get());
      } else if (comm.rank() == owner) {
        MPI_Recv(target, static_cast<int>(bytes), MPI_BYTE, 0, 0, comm.get(), MPI_STATUS_IGNORE);
      }
    }
  }
  set.rows = DistributedRows(comm, set.count(), std::move(local));
}

}  // namespace

Sizes measure(const Options& options, Cache& cache) {
  const Readers& readers = cache.sources().of(options);
  const Reader& train = *readers.train;
  const auto classes = select_classes(options.classes, train.labels, train.labels_name);
  const auto of_classes = [&](const std::vector<Index>& labels) {
    return std::ranges::count_if(labels, [&](Index label) { return std::ranges::count(classes, label) > 0; });
  };
  const auto count = std::ssize(classes);
  return {.train = options.train_per_class > 0 ? options.train_per_class * count : of_classes(train.labels),
          .test = options.test_count > 0 ? options.test_count : of_classes(readers.test->labels),
          .features = train.features(),
          .classes = count};
}

Dataset load(const Comm& comm, const Options& options, Cache& cache) {
  Dataset dataset;
  const Readers* readers = nullptr;
  on_root(comm, [&] {
    readers = &cache.sources().of(options);
    const Reader& train = *readers->train;
    const Reader& test = *readers->test;
    dataset.classes = select_classes(options.classes, train.labels, train.labels_name);
    dataset.train = select_training(train.labels, dataset.classes, options.train_per_class,
                                    options.label_noise, options.seed, train.labels_name);
    dataset.test = select_test(test.labels, dataset.classes, options.test_count, test.labels_name);
    dataset.features = train.features();
    dataset.sample_shape = train.sample_shape;
    dataset.description = readers->description;
  });
  comm.broadcast(dataset.classes);
  dataset.features = comm.broadcast_value(dataset.features);
  comm.broadcast(dataset.sample_shape);
  comm.broadcast(dataset.description);
  share(comm, dataset.train);
  share(comm, dataset.test);
  spread(comm, readers ? readers->train.get() : nullptr, dataset.features, dataset.train);
  spread(comm, readers ? readers->test.get() : nullptr, dataset.features, dataset.test);
  return dataset;
}

Dataset load(const Comm& comm, const Options& options) {
  Cache cache;
  return load(comm, options, cache);
}

}  // namespace dualscape::data
