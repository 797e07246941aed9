#include "dualscape/h5/handle.hpp"

#include <algorithm>
#include <utility>

#include "dualscape/base/live_objects.hpp"
#include "native.hpp"

namespace dualscape::h5 {
namespace {

int alive_count = 0;

herr_t close_object(Kind kind, hid_t id) {
  switch (kind) {
    case Kind::file:
      return H5Fclose(id);
    case Kind::dataset:
      return H5Dclose(id);
    case Kind::dataspace:
      return H5Sclose(id);
    case Kind::datatype:
      return H5Tclose(id);
    case Kind::group:
      return H5Gclose(id);
    case Kind::object:
      return H5Oclose(id);
    case Kind::attribute:
      return H5Aclose(id);
    case Kind::property_list:
      return H5Pclose(id);
  }
  return -1;
}

}  // namespace

Handle::Handle(Kind kind, Id id) noexcept : kind_(kind), id_(id) {
  ++alive_count;
  count_live_object(+1);
}

Handle::~Handle() {
  close();
}

Handle::Handle(Handle&& other) noexcept : kind_(other.kind_), id_(std::exchange(other.id_, none)) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this != &other) {
    close();
    kind_ = other.kind_;
    id_ = std::exchange(other.id_, none);
  }
  return *this;
}

bool Handle::close() noexcept {
  if (id_ == none) return true;
  --alive_count;
  count_live_object(-1);
  return close_object(kind_, std::exchange(id_, none)) >= 0;
}

void Handle::abandon() noexcept {
  if (id_ == none) return;
  --alive_count;
  count_live_object(-1);
  id_ = none;
}

int objects_alive() noexcept {
  return alive_count;
}

void silence_hdf5() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

std::string innermost_error() {
  std::string message = "unknown failure";
  const auto keep_last = [](unsigned, const H5E_error2_t* entry, void* text) -> herr_t {
    if (entry->desc != nullptr) *static_cast<std::string*>(text) = entry->desc;
    return 0;
  };
  // Downward: from the call that was made to the place where it failed.
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_last, &message);
  std::ranges::replace(message, '\n', ' ');
  return message;
}

Handle file_access() {
  silence_hdf5();
  Handle access(Kind::property_list, H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_file_locking(access.get(), true, true);
  return access;
}

Handle text_type() {
  Handle type(Kind::datatype, H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

}  // namespace dualscape::h5
