#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "dualscape/base/error.hpp"
#include "reader.hpp"

/// The binary version of CIFAR-10: records of one label byte and 3 x 32 x 32 pixels.
namespace dualscape::data {
namespace {

constexpr Index record = 1 + 3 * 32 * 32;
constexpr int classes = 10;
const std::array<std::string, 6> batch_names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

/// Adds the records of one file, checked.
void append_records(const std::filesystem::path& file, std::vector<std::uint8_t>& records,
                    std::vector<Index>& labels) {
  const auto bytes = read_bytes(file);
  const auto size = static_cast<Index>(bytes.size());
  if (size == 0) throw DataError(fmt::format("'{}' is empty", file.string()));
  if (size % record != 0)
    throw DataError(fmt::format("'{}' has {} bytes, which is no whole number of records of {} bytes",
                                file.string(), size, record));
  for (Index i = 0; i < size / record; ++i) {
    const Index label = bytes[static_cast<std::size_t>(i * record)];
    if (label >= classes)
      throw DataError(fmt::format("'{}': record {} has label {}; expected 0 to {}", file.string(), i, label,
                                  classes - 1));
    labels.push_back(label);
  }
  records.insert(records.end(), bytes.begin(), bytes.end());
}

std::unique_ptr<Reader> open_files(const std::filesystem::path& folder, std::span<const std::string> files) {
  std::vector<std::uint8_t> records;
  std::vector<Index> labels;
  for (const auto& file : files) append_records(folder / file, records, labels);
  auto reader = std::make_unique<BytesReader>(std::move(records), 1, record);
  reader->samples_name = reader->labels_name =
      fmt::format("'{}'", (folder / (files.size() == 1 ? files.front() : "data_batch_*.bin")).string());
  reader->labels = std::move(labels);
  reader->sample_shape = {3, 32, 32};
  return reader;
}

}  // namespace

std::span<const std::string> cifar10_file_names() {
  return batch_names;
}

Readers open_cifar10(const std::filesystem::path& folder) {
  const std::span all(batch_names);
  return {open_files(folder, all.first(5)), open_files(folder, all.last(1)),
          fmt::format("binary files in {}", folder.string())};
}

}  // namespace dualscape::data
