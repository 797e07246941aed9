#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "dualscape/base/error.hpp"
#include "reader.hpp"

/// The IDX format: two zero bytes, the element type, the number of dimensions; the dimensions as big-endian
/// 32-bit integers; the elements, row-major.
namespace dualscape::data {
namespace {

constexpr std::uint8_t unsigned_byte = 0x08;
const std::array<std::string, 4> names = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                          "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

std::uint32_t big_endian(std::span<const std::uint8_t> bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         std::uint32_t{bytes[3]};
}

struct IdxFile {
  std::filesystem::path path;
  std::vector<Index> sizes;
  Index header;
  std::vector<std::uint8_t> bytes;  ///< the whole file
};

void check_magic(const IdxFile& file, std::uint32_t dimensions) {
  const std::uint32_t expected = std::uint32_t{unsigned_byte} << 8 | dimensions;
  const std::uint32_t found = big_endian(file.bytes);
  if (found == expected) return;
  const bool other_type = (found & 0xFFFF00FFU) == dimensions;
  throw DataError(
      other_type ? fmt::format("'{}' holds elements of type 0x{:02x}; expected 0x{:02x}, unsigned bytes",
                               file.path.string(), found >> 8, unsigned_byte)
                 : fmt::format("'{}' begins with 0x{:08x}; an IDX file of {} begins with 0x{:08x}",
                               file.path.string(), found, dimensions == 1 ? "labels" : "images", expected));
}

void check_length(const IdxFile& file) {
  Index features = 1;
  for (std::size_t i = 1; i < file.sizes.size(); ++i) {
    // Also keeps the products within 64 bits.
    if (file.sizes[i] > most_features / std::max<Index>(1, features))
      throw DataError(fmt::format("'{}' has samples of {}; at most {} values can be used", file.path.string(),
                                  shape_text(std::span(file.sizes).subspan(1)), most_features));
    features *= file.sizes[i];
  }
  if (file.sizes[0] == 0 || features == 0)
    throw DataError(
        fmt::format("'{}' holds no elements: its sizes are {}", file.path.string(), shape_text(file.sizes)));
  const Index expected = file.header + file.sizes[0] * features;
  const auto found = static_cast<Index>(file.bytes.size());
  if (found != expected)
    throw DataError(fmt::format("'{}' {}: its sizes are {}, so it must have {} bytes, but it has {}",
                                file.path.string(), found < expected ? "is cut short" : "is too long",
                                shape_text(file.sizes), expected, found));
}

IdxFile read_idx(const std::filesystem::path& folder, const std::string& name, std::uint32_t dimensions) {
  IdxFile file;
  file.path = folder / name;
  if (!std::filesystem::exists(file.path)) file.path += ".gz";
  file.bytes = read_bytes(file.path);
  if (file.bytes.empty()) throw DataError(fmt::format("'{}' is empty", file.path.string()));
  file.header = 4 + 4 * Index{dimensions};
  if (file.bytes.size() >= 4) check_magic(file, dimensions);
  if (static_cast<Index>(file.bytes.size()) < file.header)
    throw DataError(fmt::format("'{}' ends within its header: {} bytes, expected at least {}",
                                file.path.string(), file.bytes.size(), file.header));
  for (std::uint32_t i = 0; i < dimensions; ++i)
    file.sizes.push_back(big_endian(std::span(file.bytes).subspan(4 + 4 * std::size_t{i})));
  check_length(file);
  return file;
}

std::unique_ptr<Reader> open_pair(const std::filesystem::path& folder, const std::string& images_name,
                                  const std::string& labels_name) {
  const IdxFile labels = read_idx(folder, labels_name, 1);
  IdxFile images = read_idx(folder, images_name, 3);
  if (images.sizes[0] != labels.sizes[0])
    throw DataError(fmt::format("'{}' holds {} images, but '{}' holds {} labels", images.path.string(),
                                images.sizes[0], labels.path.string(), labels.sizes[0]));
  auto reader = std::make_unique<BytesReader>(std::move(images.bytes), images.header,
                                              images.sizes[1] * images.sizes[2]);
  reader->samples_name = fmt::format("'{}'", images.path.string());
  reader->labels_name = fmt::format("'{}'", labels.path.string());
  reader->labels.assign(labels.bytes.begin() + labels.header, labels.bytes.end());
  reader->sample_shape = {images.sizes[1], images.sizes[2]};
  return reader;
}

}  // namespace

std::span<const std::string> idx_file_names() {
  return names;
}

Readers open_idx(const std::filesystem::path& folder) {
  return {open_pair(folder, names[0], names[1]), open_pair(folder, names[2], names[3]),
          fmt::format("IDX files in {}", folder.string())};
}

}  // namespace dualscape::data
