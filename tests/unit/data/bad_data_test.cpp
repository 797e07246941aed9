#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "dualscape/base/error.hpp"
#include "files.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"

/// Data that cannot be used: each case has its message, the same on every rank.
namespace dualscape::data {
namespace {

using ::dualscape::testing::error_of;

class BadDataTest : public FilesTest {
 protected:
  std::string load_error(const Options& options) const {
    return error_of<DataError>([&] { load(comm_, options); });
  }
  std::string quoted(const std::string& name) const { return "'" + (folder_ / name).string() + "'"; }
};

// ---- IDX

class BadIdxTest : public BadDataTest {
 protected:
  BadIdxTest() {
    write([&] { write_idx_source(folder_.path(), 8, 4); });
  }
  /// The message after one file was replaced.
  std::string error_with(const std::string& name, const Bytes& bytes) const {
    write([&] { write_file(folder_ / name, bytes); });
    return load_error(idx_options());
  }
};

const std::string images = "train-images-idx3-ubyte";
const std::string labels = "train-labels-idx1-ubyte";

TEST_F(BadIdxTest, MissingFile) {
  write([&] { std::filesystem::remove(folder_ / "t10k-labels-idx1-ubyte"); });
  EXPECT_EQ(load_error(idx_options()), "cannot find the data files of source 'idx'; looked in '" +
                                           folder_.path().string() + "' (it lacks t10k-labels-idx1-ubyte)");
}

TEST_F(BadIdxTest, WrongMagicNumber) {
  EXPECT_EQ(error_with(images, idx_bytes(0x801, {8}, cyclic_labels(8, 4))),
            quoted(images) + " begins with 0x00000801; an IDX file of images begins with 0x00000803");
}

TEST_F(BadIdxTest, WrongMagicNumberOfLabels) {
  EXPECT_EQ(error_with(labels, {'P', 'K', 3, 4, 0, 0, 0, 0}),
            quoted(labels) + " begins with 0x504b0304; an IDX file of labels begins with 0x00000801");
}

TEST_F(BadIdxTest, WrongElementType) {
  EXPECT_EQ(error_with(images, idx_bytes(0xD03, {8, 2, 3}, Bytes(8 * 6 * 4))),
            quoted(images) + " holds elements of type 0x0d; expected 0x08, unsigned bytes");
}

TEST_F(BadIdxTest, CutShort) {
  EXPECT_EQ(
      error_with(images, idx_bytes(0x803, {8, 2, 3}, pixels(7, 6))),
      quoted(images) + " is cut short: its sizes are 8 x 2 x 3, so it must have 64 bytes, but it has 58");
}

TEST_F(BadIdxTest, CutShortWithinTheHeader) {
  EXPECT_EQ(error_with(images, {0, 0, 8, 3, 0, 0}),
            quoted(images) + " ends within its header: 6 bytes, expected at least 16");
  EXPECT_EQ(error_with(images, {0, 0}),
            quoted(images) + " ends within its header: 2 bytes, expected at least 16");
}

TEST_F(BadIdxTest, TooLong) {
  EXPECT_EQ(error_with(labels, idx_bytes(0x801, {8}, cyclic_labels(9, 4))),
            quoted(labels) + " is too long: its sizes are 8, so it must have 16 bytes, but it has 17");
}

TEST_F(BadIdxTest, SizesBeyondAllMeasure) {
  EXPECT_EQ(error_with(images, idx_bytes(0x803, {8, 0xFFFFFFFF, 0xFFFFFFFF}, {})),
            quoted(images) + " has samples of 4294967295 x 4294967295; at most 134217728 values can be used");
}

TEST_F(BadIdxTest, Empty) {
  EXPECT_EQ(error_with(images, {}), quoted(images) + " is empty");
}

TEST_F(BadIdxTest, NoSamples) {
  EXPECT_EQ(error_with(labels, idx_bytes(0x801, {0}, {})),
            quoted(labels) + " holds no elements: its sizes are 0");
}

TEST_F(BadIdxTest, OtherNumbersOfImagesAndLabels) {
  EXPECT_EQ(error_with(labels, idx_bytes(0x801, {7}, cyclic_labels(7, 4))),
            quoted(images) + " holds 8 images, but " + quoted(labels) + " holds 7 labels");
}

TEST_F(BadIdxTest, OtherSizesOfTrainingAndTestSamples) {
  EXPECT_EQ(error_with(images, idx_bytes(0x803, {8, 3, 2}, pixels(8, 6))),
            "the samples of " + quoted(images) + " are 3 x 2, but those of " +
                quoted("t10k-images-idx3-ubyte") + " are 2 x 3");
}

TEST_F(BadIdxTest, FolderInsteadOfAFile) {
  write([&] {
    std::filesystem::remove(folder_ / images);
    std::filesystem::create_directory(folder_ / images);
  });
  EXPECT_EQ(load_error(idx_options()), "cannot read " + quoted(images) + ": Is a directory");
}

class BadGzipTest : public BadDataTest {
 protected:
  BadGzipTest() {
    write([&] { write_idx_source(folder_.path(), 8, 4, true); });
  }
  /// The message after the zipped training images were changed.
  template <class Change>
  std::string error_after(Change&& change) const {
    write([&] {
      std::ifstream file(folder_ / zipped, std::ios::binary);
      Bytes bytes{std::istreambuf_iterator<char>(file), {}};
      change(bytes);
      write_file(folder_ / zipped, bytes);
    });
    return load_error(idx_options());
  }
  const std::string zipped = images + ".gz";
};

TEST_F(BadGzipTest, CutShort) {
  EXPECT_EQ(error_after([](Bytes& bytes) { bytes.resize(bytes.size() / 2); }),
            "cannot read " + quoted(zipped) + ": the gzip file is cut short");
}

TEST_F(BadGzipTest, CutWithinTheCheckSum) {
  EXPECT_EQ(error_after([](Bytes& bytes) { bytes.resize(bytes.size() - 3); }),
            "cannot read " + quoted(zipped) + ": the gzip file is cut short");
}

TEST_F(BadGzipTest, Corrupt) {
  // The last eight bytes are the check sum and the length.
  EXPECT_EQ(error_after([](Bytes& bytes) { bytes[bytes.size() - 8] ^= 1; }),
            "cannot read " + quoted(zipped) + ": the gzip file is corrupt: incorrect data check");
}

// ---- named sources

TEST_F(BadDataTest, NamedSourceThatIsNowhere) {
  // The usual places are relative to the working directory.
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  const Environment environment("DUALSCAPE_DATA", folder_.path().c_str());
  write([&] {
    std::filesystem::create_directory(folder_ / "mnist");
    write_file(folder_ / "mnist/train-images-idx3-ubyte", {});
  });
  Options options;
  options.source = Source::mnist;
  EXPECT_EQ(load_error(options),
            "cannot find the data files of source 'mnist'; looked in " + quoted("mnist") +
                " (it lacks train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte) and "
                "'data/mnist' "
                "(no such folder); get them by `scripts/get-data.sh mnist`, or set data.path");
  std::filesystem::current_path(before);
}

TEST_F(BadDataTest, NamedSourceIsNotLookedForBesideItsPath) {
  Options options;
  options.source = Source::fashion_mnist;
  options.path = folder_ / "nowhere";
  EXPECT_EQ(load_error(options),
            "cannot find the data files of source 'fashion-mnist'; looked in " + quoted("nowhere") +
                " (no such folder); get them by `apt-get install dataset-fashion-mnist` or "
                "`scripts/get-data.sh fashion-mnist`, or set data.path");
}

TEST_F(BadDataTest, SourceThatNeedsAPath) {
  Options options;
  options.source = Source::hdf5;
  EXPECT_EQ(error_of<UsageError>([&] { load(comm_, options); }), "data.source = \"hdf5\" needs data.path");
}

// ---- CIFAR-10

class BadCifarTest : public BadDataTest {
 protected:
  /// The message when the third training file has these bytes.
  std::string error_with(const Bytes& third) const {
    write([&] {
      for (const char* name :
           {"data_batch_1.bin", "data_batch_2.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"})
        write_file(folder_ / name, Bytes(3073, 1));
      write_file(folder_ / "data_batch_3.bin", third);
    });
    Options options;
    options.source = Source::cifar10;
    options.path = folder_.path();
    return load_error(options);
  }
};

TEST_F(BadCifarTest, IncompleteRecord) {
  EXPECT_EQ(
      error_with(Bytes(3073 + 100, 1)),
      quoted("data_batch_3.bin") + " has 3173 bytes, which is no whole number of records of 3073 bytes");
}

TEST_F(BadCifarTest, LabelOutOfRange) {
  Bytes bytes(2 * 3073, 1);
  bytes[3073] = 10;
  EXPECT_EQ(error_with(bytes), quoted("data_batch_3.bin") + ": record 1 has label 10; expected 0 to 9");
}

TEST_F(BadCifarTest, Empty) {
  EXPECT_EQ(error_with({}), quoted("data_batch_3.bin") + " is empty");
}

// ---- HDF5

class BadHdf5Test : public BadDataTest {
 protected:
  struct Data {
    std::vector<hsize_t> train_shape = {3, 2};
    std::vector<double> train_x = {1, 2, 3, 4, 5, 6};
    std::vector<hsize_t> labels_shape = {3};
    std::vector<double> train_y = {0, 1, 0};
    hid_t label_type = H5T_NATIVE_INT;
    std::vector<hsize_t> test_shape = {2, 2};
    std::vector<double> test_x = {1, 2, 3, 4};
    hid_t test_type = H5T_NATIVE_DOUBLE;
    std::string labels_name = "data/train/y";
  };
  std::string error_with(const Data& data) const {
    write([&] {
      write_hdf5(folder_ / "data.h5", "data/train/x", H5T_NATIVE_DOUBLE, data.train_shape, data.train_x);
      write_hdf5(folder_ / "data.h5", data.labels_name, data.label_type, data.labels_shape, data.train_y);
      write_hdf5(folder_ / "data.h5", "data/test/x", data.test_type, data.test_shape, data.test_x);
      write_hdf5(folder_ / "data.h5", "data/test/y", H5T_NATIVE_INT, {2}, {0, 1});
    });
    return load_error(options());
  }
  Options options() const {
    Options result;
    result.source = Source::hdf5;
    result.path = folder_ / "data.h5";
    return result;
  }
  std::string in_file() const { return " in " + quoted("data.h5"); }
};

TEST_F(BadHdf5Test, MissingFile) {
  EXPECT_EQ(load_error(options()), "cannot open " + quoted("data.h5") + ": No such file or directory");
}

TEST_F(BadHdf5Test, NotHdf5) {
  write([&] { write_file(folder_ / "data.h5", {1, 2, 3}); });
  EXPECT_EQ(load_error(options()), quoted("data.h5") + " is not an HDF5 file");
}

TEST_F(BadHdf5Test, MissingDataset) {
  EXPECT_EQ(error_with({.labels_name = "data/train/labels"}),
            quoted("data.h5") + " has no dataset 'data/train/y'; 'data/train' has: labels, x");
}

TEST_F(BadHdf5Test, SamplesWithoutDimensions) {
  EXPECT_EQ(error_with({.train_shape = {6}}),
            "'data/train/x'" + in_file() + " has 1 dimension; expected samples x values");
}

TEST_F(BadHdf5Test, NoSamples) {
  EXPECT_EQ(error_with({.train_shape = {0, 2}, .train_x = {}}),
            "'data/train/x'" + in_file() + " holds no samples: its shape is 0 x 2");
}

TEST_F(BadHdf5Test, LabelsOfTwoDimensions) {
  EXPECT_EQ(error_with({.labels_shape = {3, 1}}),
            "'data/train/y'" + in_file() + " has 2 dimensions; expected one label a sample");
}

TEST_F(BadHdf5Test, OtherNumbersOfSamplesAndLabels) {
  EXPECT_EQ(
      error_with({.labels_shape = {2}, .train_y = {0, 1}}),
      "'data/train/x'" + in_file() + " holds 3 samples, but 'data/train/y'" + in_file() + " holds 2 labels");
}

TEST_F(BadHdf5Test, OtherNumbersOfFeatures) {
  EXPECT_EQ(error_with({.test_shape = {2, 3}, .test_x = {1, 2, 3, 4, 5, 6}}),
            "the samples of 'data/train/x'" + in_file() + " are 2, but those of 'data/test/x'" + in_file() +
                " are 3");
}

TEST_F(BadHdf5Test, IntegersBesideRealNumbers) {
  EXPECT_EQ(error_with({.test_type = H5T_NATIVE_INT}), "'data/train/x'" + in_file() +
                                                           " holds real numbers, but 'data/test/x'" +
                                                           in_file() + " holds integers");
}

TEST_F(BadHdf5Test, NotANumber) {
  EXPECT_EQ(error_with({.train_x = {1, 2, 3, 4, std::nan(""), 6}}),
            "'data/train/x'" + in_file() + ": value 0 of sample 2 is nan");
}

TEST_F(BadHdf5Test, Infinite) {
  EXPECT_EQ(error_with({.test_x = {1, -std::numeric_limits<double>::infinity(), 3, 4}}),
            "'data/test/x'" + in_file() + ": value 1 of sample 0 is -inf");
}

TEST_F(BadHdf5Test, NegativeLabel) {
  EXPECT_EQ(error_with({.train_y = {0, 1, -1}}),
            "'data/train/y'" + in_file() + ": the label of sample 2 is -1; labels are 0 or larger");
}

TEST_F(BadHdf5Test, FractionalLabel) {
  EXPECT_EQ(error_with({.train_y = {0, 1.5, 0}, .label_type = H5T_NATIVE_DOUBLE}),
            "'data/train/y'" + in_file() + " must hold whole numbers, but element 1 is 1.5");
}

// ---- selection, through load

TEST_F(BadIdxTest, SelectionThatTheDataDoNotHold) {
  Options options = idx_options();
  options.train_per_class = 3;
  EXPECT_EQ(load_error(options),
            "class 0 has 2 samples in " + quoted(labels) + ", but data.train_per_class = 3");
  options.train_per_class = 0;
  options.classes = {0, 12};
  EXPECT_EQ(load_error(options), "class 12 of data.classes does not occur in " + quoted(labels) +
                                     ", which has the classes 0, 1, 2, 3");
  options.classes = {};
  options.test_count = 5;
  EXPECT_EQ(load_error(options), quoted("t10k-labels-idx1-ubyte") +
                                     " has 4 test samples of the classes asked for, but data.test_count = 5");
}

TEST_F(BadIdxTest, NoTestSampleOfTheClasses) {
  write([&] { write_file(folder_ / "t10k-labels-idx1-ubyte", idx_bytes(0x801, {4}, {0, 0, 0, 0})); });
  Options options = idx_options();
  options.classes = {1, 2};
  EXPECT_EQ(load_error(options),
            "no test sample is left: " + quoted("t10k-labels-idx1-ubyte") + " has none of the classes 1, 2");
}

}  // namespace
}  // namespace dualscape::data
