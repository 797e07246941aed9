#include "reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>

#include "dualscape/base/error.hpp"

namespace dualscape::data {
namespace {

/// A source that is known by name: where it is looked for, and how to get it.
struct NamedSource {
  Source source;
  std::string_view name;
  std::vector<std::filesystem::path> usual_places;
  std::string_view how_to_get;
};

const std::vector<NamedSource>& named_sources() {
  static const std::vector<NamedSource> all = {
      {Source::fashion_mnist,
       "fashion-mnist",
       {"data/fashion-mnist", "/usr/share/datasets/fashion-mnist"},
       "`apt-get install dataset-fashion-mnist` or `scripts/get-data.sh fashion-mnist`"},
      {Source::mnist, "mnist", {"data/mnist"}, "`scripts/get-data.sh mnist`"},
      {Source::cifar10,
       "cifar10",
       {"data/cifar10", "data/cifar-10-batches-bin"},
       "unpacking the binary version of https://www.cs.toronto.edu/~kriz/cifar.html"},
  };
  return all;
}

/// The files of `names` that `folder` lacks, or what else is wrong with it; empty when it is complete.
std::string what_is_missing(const std::filesystem::path& folder, std::span<const std::string> names) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) return "no such folder";
  std::vector<std::string> missing;
  for (const auto& name : names)
    if (!std::filesystem::exists(folder / name, ignored) &&
        !std::filesystem::exists(folder / (name + ".gz"), ignored))
      missing.push_back(name);
  return missing.empty() ? "" : fmt::format("it lacks {}", fmt::join(missing, ", "));
}

/// The first folder that holds every file.
std::filesystem::path find_folder(const Options& options, std::span<const std::string> names) {
  const auto& sources = named_sources();
  const auto named = std::ranges::find(sources, options.source, &NamedSource::source);
  std::vector<std::filesystem::path> places;
  // A path that was given is the only place: other data must not stand in for it silently.
  if (!options.path.empty()) {
    places.push_back(options.path);
  } else if (named != sources.end()) {
    if (const char* root = std::getenv("DUALSCAPE_DATA"))
      places.push_back(std::filesystem::path(root) / named->name);
    places.insert(places.end(), named->usual_places.begin(), named->usual_places.end());
  }
  std::vector<std::string> looked;
  for (const auto& place : places) {
    const std::string missing = what_is_missing(place, names);
    if (missing.empty()) return place;
    looked.push_back(fmt::format("'{}' ({})", place.string(), missing));
  }
  const std::string advice =
      named == sources.end() ? "" : fmt::format("; get them by {}, or set data.path", named->how_to_get);
  throw DataError(fmt::format("cannot find the data files of source '{}'; looked in {}{}",
                              name_of(options.source), fmt::join(looked, " and "), advice));
}

Readers open(const Options& options) {
  switch (options.source) {
    case Source::hdf5:
      return open_hdf5(options.path);
    case Source::cifar10:
      return open_cifar10(find_folder(options, cifar10_file_names()));
    default:
      return open_idx(find_folder(options, idx_file_names()));
  }
}

void check_labels(const Reader& reader) {
  const auto bad = std::ranges::find_if(reader.labels, [](Index label) { return label < 0; });
  if (bad != reader.labels.end())
    throw DataError(fmt::format("{}: the label of sample {} is {}; labels are 0 or larger",
                                reader.labels_name, bad - reader.labels.begin(), *bad));
}

}  // namespace

Index Reader::features() const {
  return std::accumulate(sample_shape.begin(), sample_shape.end(), Index{1}, std::multiplies<>());
}

std::string shape_text(std::span<const Index> shape) {
  return fmt::format("{}", fmt::join(shape, " x "));
}

Readers open_readers(const Options& options) {
  const bool needs_path = options.source == Source::idx || options.source == Source::hdf5;
  if (needs_path && options.path.empty())
    throw UsageError(fmt::format("data.source = \"{}\" needs data.path", name_of(options.source)));
  Readers readers = open(options);
  const Reader& train = *readers.train;
  const Reader& test = *readers.test;
  check_labels(train);
  check_labels(test);
  if (train.sample_shape != test.sample_shape)
    throw DataError(fmt::format("the samples of {} are {}, but those of {} are {}", train.samples_name,
                                shape_text(train.sample_shape), test.samples_name,
                                shape_text(test.sample_shape)));
  const auto kind = [](const Reader& reader) {
    return reader.element == Element::real ? "real numbers" : "integers";
  };
  if ((train.element == Element::real) != (test.element == Element::real))
    throw DataError(fmt::format("{} holds {}, but {} holds {}", train.samples_name, kind(train),
                                test.samples_name, kind(test)));
  if (train.features() > most_features)
    throw DataError(fmt::format("{}: samples of {} values; at most {} can be used", train.samples_name,
                                train.features(), most_features));
  readers.description =
      fmt::format("{}: {}, {} training and {} test samples of {} {}", name_of(options.source),
                  readers.description, train.labels.size(), test.labels.size(),
                  shape_text(train.sample_shape), train.element == Element::byte ? "bytes" : kind(train));
  return readers;
}

}  // namespace dualscape::data
