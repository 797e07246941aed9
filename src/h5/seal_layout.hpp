#pragma once

#include <cstdint>

#include "dualscape/base/hash.hpp"
#include "dualscape/base/partition.hpp"

/// The last bytes of a sealed file: shared by the sources of this folder.
namespace dualscape::h5 {

struct SealLayout {
  static constexpr std::uint64_t right_magic = 0x314C414553445344;  // "DSDSEAL1"
  std::uint64_t magic = 0;
  std::uint64_t length = 0;  ///< of the file without the seal
  std::uint64_t checksum = 0;
};

/// Checksum of the first `length` bytes of an open file; false when they cannot be read (reason in errno).
bool checksum_of(int descriptor, Index length, std::uint64_t& checksum);

}  // namespace dualscape::h5
