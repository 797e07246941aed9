#include "dualscape/h5/version.hpp"

#include <fmt/format.h>
#include <hdf5.h>

namespace dualscape::h5 {

std::string library_version() {
  unsigned major = 0, minor = 0, release = 0;
  if (H5get_libversion(&major, &minor, &release) < 0) return "HDF5";
  return fmt::format("HDF5 {}.{}.{}", major, minor, release);
}

}  // namespace dualscape::h5
