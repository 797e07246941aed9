#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dualscape/data/dataset.hpp"

/// Reading the sources, on rank 0 alone: nothing here is collective. Failures are DataErrors that name the
/// file.
namespace dualscape::data {

/// The training or the test samples of a source.
class Reader {
 public:
  virtual ~Reader() = default;

  std::string samples_name;  ///< for messages: "'folder/train-images-idx3-ubyte'"
  std::string labels_name;
  std::vector<Index> labels;  ///< not negative, one a sample
  std::vector<Index> sample_shape;
  Element element = Element::byte;

  Index features() const;
  /// The samples at these positions, ascending, into `rows`.
  virtual void read(std::span<const Index> positions, Rows& rows) = 0;
};

struct Readers {
  std::unique_ptr<Reader> train;
  std::unique_ptr<Reader> test;
  std::string description;
};

/// Values of a sample at most: a row of doubles is then one MPI datatype.
constexpr Index most_features = Index{1} << 27;

/// "28 x 28"
std::string shape_text(std::span<const Index> shape);

/// Finds and opens the source, and checks that training and test samples go together.
Readers open_readers(const Options& options);

/// The four IDX files in `folder`, each plain or .gz.
Readers open_idx(const std::filesystem::path& folder);
/// The six files of the binary version of CIFAR-10 in `folder`.
Readers open_cifar10(const std::filesystem::path& folder);
Readers open_hdf5(const std::filesystem::path& file);

/// Names of the files a folder must hold for a source of this kind.
std::span<const std::string> idx_file_names();
std::span<const std::string> cifar10_file_names();

/// The whole contents of a file, unpacked when it is a gzip file.
std::vector<std::uint8_t> read_bytes(const std::filesystem::path& file);

/// Samples of bytes in memory: sample i begins at offset + i * stride.
class BytesReader : public Reader {
 public:
  BytesReader(std::vector<std::uint8_t> bytes, Index offset, Index stride)
      : bytes_(std::move(bytes)), offset_(offset), stride_(stride) {}
  void read(std::span<const Index> positions, Rows& rows) override;

 private:
  std::vector<std::uint8_t> bytes_;
  Index offset_;
  Index stride_;
};

}  // namespace dualscape::data
