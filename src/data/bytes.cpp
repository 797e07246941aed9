#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dualscape/base/error.hpp"
#include "reader.hpp"

namespace dualscape::data {
namespace {

struct CloseGz {
  void operator()(gzFile file) const { gzclose_r(file); }
};
using GzFile = std::unique_ptr<std::remove_pointer_t<gzFile>, CloseGz>;

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& reason) {
  throw DataError(fmt::format("cannot read '{}': {}", file.string(), reason));
}

/// Throws when the last gzread of `gz` met an error or the end of a gzip stream that is cut short.
void check_state(gzFile gz, const std::filesystem::path& file) {
  const int system_error = errno;
  int code = Z_OK;
  const char* text = gzerror(gz, &code);
  if (code == Z_OK || code == Z_STREAM_END) return;
  if (code == Z_ERRNO) fail(file, std::strerror(system_error));
  if (code == Z_BUF_ERROR) fail(file, "the gzip file is cut short");
  // zlib puts the file's name first.
  const std::string message(text);
  const std::size_t colon = message.rfind(": ");
  fail(file,
       "the gzip file is corrupt: " + (colon == std::string::npos ? message : message.substr(colon + 2)));
}

}  // namespace

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& file) {
  errno = 0;
  const GzFile gz(gzopen(file.c_str(), "rb"));
  if (!gz) fail(file, std::strerror(errno));
  std::vector<std::uint8_t> bytes;
  constexpr std::size_t piece = 16 << 20;
  for (;;) {
    const std::size_t have = bytes.size();
    bytes.resize(have + piece);
    errno = 0;
    const int got = gzread(gz.get(), bytes.data() + have, piece);
    bytes.resize(have + static_cast<std::size_t>(std::max(got, 0)));
    check_state(gz.get(), file);
    if (got <= 0) return bytes;
  }
}

void BytesReader::read(std::span<const Index> positions, Rows& rows) {
  const auto all = std::as_bytes(std::span(bytes_));
  for (std::size_t i = 0; i < positions.size(); ++i)
    std::ranges::copy(
        all.subspan(static_cast<std::size_t>(offset_ + positions[i] * stride_), rows.row_bytes()),
        rows.row(static_cast<Index>(i)).begin());
}

}  // namespace dualscape::data
