#pragma once

#include <petscmat.h>
#include <slepceps.h>
#include <slepcsvd.h>

#include <string_view>
#include <utility>

#include "dualscape/petsc/error.hpp"

namespace dualscape::petsc {

/// Keeps the number of live handles for handles_alive().
void count_handles(int change) noexcept;

/// Owner of one PETSc object. Move-only; destroys the object when it goes. A destroy function that fails (as
/// EPSDestroy does after a failed solve) leaves its object to PETSc's own end.
template <class T, PetscErrorCode (*destroy)(T*)>
class Handle {
 public:
  Handle() = default;
  /// Takes over an object.
  explicit Handle(T object) noexcept : object_(object) {
    if (object_ != nullptr) count_handles(+1);
  }
  /// The object that `make(T*)`, the PETSc function called `call`, creates. Throws CallError.
  template <class Make>
  static Handle create(std::string_view call, Make&& make) {
    T object = nullptr;
    check(make(&object), call);
    return Handle(object);
  }
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      object_ = std::exchange(other.object_, nullptr);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  T get() const noexcept { return object_; }

 private:
  void reset() noexcept {
    if (object_ == nullptr) return;
    count_handles(-1);
    static_cast<void>(destroy(&object_));
    object_ = nullptr;
  }

  T object_ = nullptr;
};

using VecHandle = Handle<Vec, VecDestroy>;
using MatHandle = Handle<Mat, MatDestroy>;
using BVHandle = Handle<BV, BVDestroy>;
using EPSHandle = Handle<EPS, EPSDestroy>;
using SVDHandle = Handle<SVD, SVDDestroy>;

}  // namespace dualscape::petsc
