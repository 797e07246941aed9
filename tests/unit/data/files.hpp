#pragma once

#include <gtest/gtest.h>
#include <hdf5.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/h5/handle.hpp"
#include "support/temporary_folder.hpp"

/// Small data files as other programs write them.
namespace dualscape::data {

using Bytes = std::vector<std::uint8_t>;

inline void write_file(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline void write_gz(const std::filesystem::path& path, const Bytes& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

inline void append_big_endian(Bytes& bytes, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

/// An IDX file: magic number, sizes, elements.
inline Bytes idx_bytes(std::uint32_t magic, const std::vector<std::uint32_t>& sizes, const Bytes& elements) {
  Bytes bytes;
  append_big_endian(bytes, magic);
  for (const auto size : sizes) append_big_endian(bytes, size);
  bytes.insert(bytes.end(), elements.begin(), elements.end());
  return bytes;
}

/// Pixel j of sample i of the examples below.
inline std::uint8_t pixel(Index i, Index j) {
  return static_cast<std::uint8_t>((i * 37 + j * 5) % 256);
}

inline Bytes pixels(Index samples, Index features) {
  Bytes result;
  for (Index i = 0; i < samples; ++i)
    for (Index j = 0; j < features; ++j) result.push_back(pixel(i, j));
  return result;
}

/// Labels 0 1 .. classes-1 0 1 ...
inline Bytes cyclic_labels(Index samples, Index classes) {
  Bytes result;
  for (Index i = 0; i < samples; ++i) result.push_back(static_cast<std::uint8_t>(i % classes));
  return result;
}

/// The four files of an IDX source with `train` and `test` samples of 2 x 3 pixels in 4 classes.
inline void write_idx_source(const std::filesystem::path& folder, std::uint32_t train, std::uint32_t test,
                             bool zipped = false) {
  const auto write = [&](const std::string& name, const Bytes& bytes) {
    if (zipped)
      write_gz(folder / (name + ".gz"), bytes);
    else
      write_file(folder / name, bytes);
  };
  write("train-images-idx3-ubyte", idx_bytes(0x803, {train, 2, 3}, pixels(train, 6)));
  write("train-labels-idx1-ubyte", idx_bytes(0x801, {train}, cyclic_labels(train, 4)));
  write("t10k-images-idx3-ubyte", idx_bytes(0x803, {test, 2, 3}, pixels(test, 6)));
  write("t10k-labels-idx1-ubyte", idx_bytes(0x801, {test}, cyclic_labels(test, 4)));
}

/// Adds one dataset to an HDF5 file, which is made when it is missing.
inline void write_hdf5(const std::filesystem::path& path, const std::string& dataset, hid_t stored,
                       const std::vector<hsize_t>& sizes, const std::vector<double>& values) {
  const hid_t file = std::filesystem::exists(path)
                         ? H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)
                         : H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t space = H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr);
  const hid_t id = H5Dcreate2(file, dataset.c_str(), stored, space, links, H5P_DEFAULT, H5P_DEFAULT);
  if (!values.empty()) H5Dwrite(id, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(id);
  H5Sclose(space);
  H5Pclose(links);
  H5Fclose(file);
}

/// Sets or clears an environment variable for one test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    if (value != nullptr)
      ::setenv(name, value, 1);
    else
      ::unsetenv(name);
  }
  ~Environment() {
    if (before_)
      ::setenv(name_, before_->c_str(), 1);
    else
      ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

/// A test with a folder of its own, whose files rank 0 writes.
class FilesTest : public ::testing::Test {
 protected:
  FilesTest() : comm_(MPI_COMM_WORLD), folder_(comm_) {}
  ~FilesTest() override { EXPECT_EQ(h5::objects_alive(), 0); }

  /// @note Collective
  template <class Body>
  void write(Body&& body) const {
    if (comm_.is_root()) body();
    comm_.barrier();
  }
  Options idx_options() const {
    Options options;
    options.source = Source::idx;
    options.path = folder_.path();
    return options;
  }

  Comm comm_;
  dualscape::testing::TemporaryFolder folder_;
};

}  // namespace dualscape::data
