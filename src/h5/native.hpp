#pragma once

#include <hdf5.h>

#include <string>

#include "dualscape/h5/handle.hpp"

/// Calls of HDF5 with their outcome checked: shared by the sources of this folder, never included elsewhere.
namespace dualscape::h5 {

static_assert(sizeof(hid_t) == sizeof(Id));

/// From here on HDF5 prints nothing by itself.
void silence_hdf5();

/// The innermost message of HDF5's error stack, e.g. "unable to read superblock".
std::string innermost_error();

/// A handle on `id`. Throws Failure("<what>: <HDF5's reason>") when the call that gave it failed.
template <class Failure>
Handle own(Kind kind, hid_t id, const std::string& what) {
  if (id < 0) throw Failure(what + ": " + innermost_error());
  return Handle(kind, id);
}

template <class Failure>
void check(herr_t status, const std::string& what) {
  if (status < 0) throw Failure(what + ": " + innermost_error());
}

/// Access properties of a file: the serial driver, and no failure on file systems that know no locks.
Handle file_access();

/// The type of a UTF-8 text of any length.
Handle text_type();

}  // namespace dualscape::h5
