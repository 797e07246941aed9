#include "dualscape/h5/seal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "dualscape/base/error.hpp"
#include "seal_layout.hpp"

namespace dualscape::h5 {
namespace {

/// False at the end of the file and on failure, where errno is not 0.
bool read_all(int descriptor, Index offset, std::span<std::byte> out) {
  while (!out.empty()) {
    errno = 0;
    const ssize_t got = ::pread(descriptor, out.data(), out.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    offset += got;
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

bool checksum_of(int descriptor, Index length, std::uint64_t& checksum) {
  constexpr Index piece = Index{4} << 20;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(piece, length)));
  Hash hash;
  for (Index first = 0; first < length; first += piece) {
    const auto part = std::span(buffer).first(static_cast<std::size_t>(std::min(piece, length - first)));
    if (!read_all(descriptor, first, part)) return false;
    hash.add(part);
  }
  checksum = hash.value();
  return true;
}

bool is_sealed(const std::filesystem::path& path) {
  const OpenFile file(path);
  struct stat status {};
  SealLayout seal;
  const auto size = static_cast<Index>(sizeof(seal));
  return file.descriptor() >= 0 && ::fstat(file.descriptor(), &status) == 0 && status.st_size >= size &&
         read_all(file.descriptor(), status.st_size - size, std::as_writable_bytes(std::span(&seal, 1))) &&
         seal.magic == SealLayout::right_magic;
}

void require_intact(const std::filesystem::path& path) {
  const OpenFile file(path);
  struct stat status {};
  if (file.descriptor() < 0 || ::fstat(file.descriptor(), &status) != 0)
    throw DataError(fmt::format("cannot open '{}': {}", path.string(), std::strerror(errno)));
  const auto damaged = [&](const std::string& how) {
    return DataError(fmt::format("'{}' is damaged: {}", path.string(), how));
  };
  SealLayout seal;
  const Index length = static_cast<Index>(status.st_size) - static_cast<Index>(sizeof(seal));
  if (length < 0 || !read_all(file.descriptor(), length, std::as_writable_bytes(std::span(&seal, 1))) ||
      seal.magic != SealLayout::right_magic || seal.length != static_cast<std::uint64_t>(length))
    throw damaged("it is cut short or does not end with its checksum");
  std::uint64_t checksum = 0;
  if (!checksum_of(file.descriptor(), length, checksum)) throw damaged("it cannot be read to its end");
  if (checksum != seal.checksum) throw damaged("its contents do not have the checksum they were stored with");
}

}  // namespace dualscape::h5
