#include "part_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dualscape/base/error.hpp"
#include "seal_layout.hpp"

namespace dualscape::h5 {

PartFile::PartFile(std::filesystem::path path) : path_(std::move(path)), part_(path_.string() + ".part") {
  descriptor_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  require(descriptor_ >= 0);
  // A limit on the size of files is to arrive as an error code, not as a signal that ends the program.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGXFSZ, &ignore, &previous_);
}

PartFile::~PartFile() {
  ::sigaction(SIGXFSZ, &previous_, nullptr);
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!finished_) ::unlink(part_.c_str());
}

void PartFile::fail(int error) const {
  throw ComputationError(fmt::format("cannot write '{}': {}", path_.string(), std::strerror(error)));
}

void PartFile::require(bool done) const {
  if (!done) fail(errno);
}

void PartFile::reserve(Index size) {
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(descriptor_, 0, size);
  // Some file systems cannot reserve: there the writing itself shows whether the space is enough.
  if (error != 0 && error != EINVAL && error != EOPNOTSUPP) fail(error);
}

void PartFile::reserve_all() {
  struct stat status {};
  require(::fstat(descriptor_, &status) == 0);
  reserve(status.st_size);
}

void PartFile::write_at(Index offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) fail(ENOSPC);
    require(written > 0);
    offset += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void PartFile::seal() {
  struct stat status {};
  require(::fstat(descriptor_, &status) == 0);
  SealLayout seal{
      .magic = SealLayout::right_magic, .length = static_cast<std::uint64_t>(status.st_size), .checksum = 0};
  errno = EIO;  // for a file that became shorter
  require(checksum_of(descriptor_, status.st_size, seal.checksum));
  write_at(status.st_size, std::as_bytes(std::span(&seal, 1)));
}

void PartFile::finish(Durability durability) {
  const bool flush = durability == Durability::flushed;
  require(!flush || ::fsync(descriptor_) == 0);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  require(closed == 0);
  require(::rename(part_.c_str(), path_.c_str()) == 0);
  finished_ = true;
  if (!flush) return;

  // The new name is stored with its folder.
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(opened >= 0);
  const int error = ::fsync(opened) == 0 ? 0 : errno;
  ::close(opened);
  if (error != 0 && error != EINVAL) fail(error);
}

}  // namespace dualscape::h5
