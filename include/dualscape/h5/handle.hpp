#pragma once

#include <cstdint>

namespace dualscape::h5 {

/// What HDF5 calls hid_t.
using Id = std::int64_t;

/// `object`: a group or a dataset, whichever was found.
enum class Kind { file, dataset, dataspace, datatype, group, object, attribute, property_list };

/// Owner of one HDF5 object. Move-only; closes the object when it goes.
class Handle {
 public:
  Handle() = default;
  /// Takes over an open object; `id` must be valid.
  Handle(Kind kind, Id id) noexcept;
  ~Handle();
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  Id get() const noexcept { return id_; }

  /// Closes the object now and says whether that worked; a file is written out here. The handle is empty
  /// afterwards.
  bool close() noexcept;

  /// Forgets the object without closing it. Only for a file that could not be written: HDF5 1.10 ends the
  /// program at exit once closing such a file has failed.
  void abandon() noexcept;

 private:
  static constexpr Id none = -1;
  Kind kind_ = Kind::file;
  Id id_ = none;
};

/// Handles that own an object at present: zero when nothing leaks.
int objects_alive() noexcept;

}  // namespace dualscape::h5
