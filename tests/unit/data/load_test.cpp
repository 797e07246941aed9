#include <gmock/gmock.h>

#include "files.hpp"
#include "support/collective.hpp"

namespace dualscape::data {
namespace {

using ::testing::ElementsAre;

/// The set's rows on every rank, as raw numbers.
Matrix<double> all_rows(const Comm& comm, const SampleSet& set) {
  std::vector<Index> wanted;
  for (Index i = 0; i < set.count(); ++i) wanted.push_back(i);
  const Rows rows = set.rows.fetch(comm, wanted);
  Matrix<double> values(rows.count(), rows.features());
  rows.copy_raw(0, rows.count(), values.view());
  return values;
}

/// Whether row i holds the pixels of the sample at its position in the source.
void expect_pixels(const Comm& comm, const SampleSet& set, Index features) {
  const auto values = all_rows(comm, set);
  ASSERT_EQ(values.rows(), set.count());
  for (Index i = 0; i < set.count(); ++i)
    for (Index j = 0; j < features; ++j)
      EXPECT_EQ(values(i, j), pixel(set.source_index[static_cast<std::size_t>(i)], j)) << "sample " << i;
}

class LoadTest : public FilesTest {};

TEST_F(LoadTest, ReadsIdxFilesPlainAndZipped) {
  for (const bool zipped : {false, true}) {
    const auto folder = folder_ / (zipped ? "zipped" : "plain");
    write([&] {
      std::filesystem::create_directory(folder);
      write_idx_source(folder, 40, 10, zipped);
    });
    Options options = idx_options();
    options.path = folder;
    const Dataset dataset = load(comm_, options);
    EXPECT_EQ(dataset.train.count(), 40);
    EXPECT_EQ(dataset.test.count(), 10);
    EXPECT_THAT(dataset.classes, ElementsAre(0, 1, 2, 3));
    EXPECT_EQ(dataset.features, 6);
    EXPECT_THAT(dataset.sample_shape, ElementsAre(2, 3));
    EXPECT_TRUE(dataset.train.rows.is_integer());
    EXPECT_EQ(dataset.train.rows.local().element(), Element::byte);
    EXPECT_EQ(dataset.description,
              "idx: IDX files in " + folder.string() + ", 40 training and 10 test samples of 2 x 3 bytes");
    for (Index i = 0; i < 40; ++i) EXPECT_EQ(dataset.train.label[static_cast<std::size_t>(i)], i % 4);
    expect_pixels(comm_, dataset.train, 6);
    expect_pixels(comm_, dataset.test, 6);
  }
}

TEST_F(LoadTest, SpreadsTheRowsOfTheSelection) {
  write([&] { write_idx_source(folder_.path(), 40, 10); });
  Options options = idx_options();
  options.classes = {3, 1};
  options.train_per_class = 4;
  options.test_count = 3;
  const Dataset dataset = load(comm_, options);
  EXPECT_EQ(dataset.train.count(), 8);
  EXPECT_THAT(dataset.test.source_index, ElementsAre(1, 3, 5));
  EXPECT_THAT(dataset.test.label, ElementsAre(1, 0, 1));
  EXPECT_EQ(dataset.train.rows.local().count(), Partition(8, comm_.size()).count(comm_.rank()));
  expect_pixels(comm_, dataset.train, 6);
  expect_pixels(comm_, dataset.test, 6);
}

TEST_F(LoadTest, LeavesRanksWithoutSamplesWhenThereAreMoreRanks) {
  write([&] { write_idx_source(folder_.path(), 40, 10); });
  Options options = idx_options();
  options.classes = {2};
  options.train_per_class = 1;
  options.test_count = 1;
  const Dataset dataset = load(comm_, options);
  EXPECT_EQ(dataset.train.rows.local().count(), comm_.is_root() ? 1 : 0);
  expect_pixels(comm_, dataset.train, 6);
}

TEST_F(LoadTest, SelectsTheSameOnAnyNumberOfRanks) {
  write([&] { write_idx_source(folder_.path(), 200, 20); });
  Options options = idx_options();
  options.train_per_class = 20;
  options.label_noise = 0.25;
  options.seed = 7;
  const Dataset together = load(comm_, options);
  const Comm self(MPI_COMM_SELF);
  const Dataset alone = load(self, options);
  EXPECT_EQ(together.train.source_index, alone.train.source_index);
  EXPECT_EQ(together.train.label, alone.train.label);
  EXPECT_EQ(together.train.true_label, alone.train.true_label);
  EXPECT_EQ(together.test.source_index, alone.test.source_index);
  const auto rows = all_rows(comm_, together.train);
  EXPECT_TRUE(std::ranges::equal(rows.entries(), all_rows(self, alone.train).entries()));
}

TEST_F(LoadTest, ReadsHdf5FilesOfAnyNumberType) {
  const auto path = folder_ / "data.h5";
  write([&] {
    std::vector<double> x;
    for (Index i = 0; i < 12; ++i)
      for (Index j = 0; j < 4; ++j) x.push_back(pixel(i, j));
    write_hdf5(path, "data/train/x", H5T_STD_U8LE, {12, 2, 2}, x);
    write_hdf5(path, "data/train/y", H5T_STD_I32BE, {12}, {9, 4, 9, 4, 9, 4, 9, 4, 9, 4, 9, 4});
    write_hdf5(path, "data/test/x", H5T_STD_I16BE, {12, 2, 2}, x);
    write_hdf5(path, "data/test/y", H5T_NATIVE_FLOAT, {12}, {4, 4, 4, 9, 9, 9, 4, 4, 4, 9, 9, 9});
  });
  Options options;
  options.source = Source::hdf5;
  options.path = path;
  const Dataset dataset = load(comm_, options);
  EXPECT_THAT(dataset.classes, ElementsAre(4, 9));
  EXPECT_THAT(dataset.sample_shape, ElementsAre(2, 2));
  EXPECT_EQ(dataset.train.rows.local().element(), Element::byte);
  EXPECT_EQ(dataset.test.rows.local().element(), Element::integer);
  EXPECT_THAT(dataset.test.label, ElementsAre(0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1));
  EXPECT_EQ(dataset.description,
            "hdf5: HDF5 file " + path.string() + ", 12 training and 12 test samples of 2 x 2 bytes");
  expect_pixels(comm_, dataset.train, 4);
  expect_pixels(comm_, dataset.test, 4);
}

TEST_F(LoadTest, KeepsRealNumbers) {
  const auto path = folder_ / "data.h5";
  write([&] {
    write_hdf5(path, "data/train/x", H5T_IEEE_F32BE, {3, 2}, {0.5, 1, 2.25, -3, 4, 1e30});
    write_hdf5(path, "data/train/y", H5T_STD_I8LE, {3}, {0, 1, 0});
    write_hdf5(path, "data/test/x", H5T_NATIVE_DOUBLE, {1, 2}, {0.1, 0.2});
    write_hdf5(path, "data/test/y", H5T_STD_I8LE, {1}, {1});
  });
  Options options;
  options.source = Source::hdf5;
  options.path = path;
  const Dataset dataset = load(comm_, options);
  EXPECT_FALSE(dataset.train.rows.is_integer());
  EXPECT_THAT(all_rows(comm_, dataset.train).entries(),
              ElementsAre(0.5, 1, 2.25, -3, 4, static_cast<double>(1e30F)));
  EXPECT_THAT(all_rows(comm_, dataset.test).entries(), ElementsAre(0.1, 0.2));
  EXPECT_THAT(dataset.description, ::testing::EndsWith("samples of 2 real numbers"));
}

TEST_F(LoadTest, ReadsHdf5FilesInSeveralWindows) {
  // Samples of 6 MB as stored: a window of 32 MiB holds five of them, seven are read, with one left out.
  constexpr hsize_t features = 750'000;
  const auto path = folder_ / "data.h5";
  write([&] {
    std::vector<double> x(8 * features);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i / features) + 0.5;
    write_hdf5(path, "data/train/x", H5T_NATIVE_FLOAT, {8, features}, x);
    write_hdf5(path, "data/train/y", H5T_STD_I8LE, {8}, {0, 0, 1, 0, 0, 0, 0, 0});
    write_hdf5(path, "data/test/x", H5T_NATIVE_FLOAT, {1, features}, std::vector<double>(features, 9.0));
    write_hdf5(path, "data/test/y", H5T_STD_I8LE, {1}, {0});
  });
  Options options;
  options.source = Source::hdf5;
  options.path = path;
  options.classes = {0};
  const Dataset dataset = load(comm_, options);
  const auto rows = all_rows(comm_, dataset.train);
  ASSERT_EQ(rows.rows(), 7);
  for (Index i = 0; i < 7; ++i) {
    const double expected =
        static_cast<double>(dataset.train.source_index[static_cast<std::size_t>(i)]) + 0.5;
    EXPECT_EQ(std::ranges::count(rows.row(i), expected), static_cast<Index>(features)) << "row " << i;
  }
}

TEST_F(LoadTest, ReadsTheBinaryVersionOfCifar10) {
  write([&] {
    for (Index file = 0; file < 6; ++file) {
      Bytes bytes;
      for (Index i = 0; i < 3; ++i) {
        bytes.push_back(static_cast<std::uint8_t>(file == 5 ? i : (3 * file + i) % 10));
        const Index sample = file == 5 ? i : 3 * file + i;
        for (Index j = 0; j < 3072; ++j) bytes.push_back(pixel(sample, j));
      }
      write_file(folder_ / (file == 5 ? "test_batch.bin" : "data_batch_" + std::to_string(file + 1) + ".bin"),
                 bytes);
    }
  });
  Options options;
  options.source = Source::cifar10;
  options.path = folder_.path();
  const Dataset dataset = load(comm_, options);
  EXPECT_EQ(dataset.train.count(), 15);
  EXPECT_THAT(dataset.sample_shape, ElementsAre(3, 32, 32));
  for (Index i = 0; i < 15; ++i) EXPECT_EQ(dataset.train.label[static_cast<std::size_t>(i)], i % 10);
  EXPECT_THAT(dataset.test.label, ElementsAre(0, 1, 2));
  expect_pixels(comm_, dataset.train, 3072);
  expect_pixels(comm_, dataset.test, 3072);
}

TEST_F(LoadTest, LooksForNamedSourcesInTheDataFolder) {
  write([&] {
    std::filesystem::create_directory(folder_ / "mnist");
    write_idx_source(folder_ / "mnist", 8, 4);
  });
  const Environment environment("DUALSCAPE_DATA", folder_.path().c_str());
  Options options;
  options.source = Source::mnist;
  EXPECT_EQ(load(comm_, options).description, "mnist: IDX files in " + (folder_ / "mnist").string() +
                                                  ", 8 training and 4 test samples of 2 x 3 bytes");
}

}  // namespace
}  // namespace dualscape::data
