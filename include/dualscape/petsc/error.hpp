#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "dualscape/base/error.hpp"

/// How failures cross PETSc, whose functions return codes and which is written in C.
namespace dualscape::petsc {

/// A PETSc or SLEPc call failed. The message names the call and gives PETSc's text.
class CallError : public ComputationError {
 public:
  explicit CallError(const std::string& message) : ComputationError(message) {}
};

/// Every PETSc call goes through here: throws when `code` says that `call` failed. When the failure began as
/// an exception in one of our callbacks, that exception is thrown again; otherwise a CallError is.
void check(int code, std::string_view call);

/// Keeps an exception that must not fly through PETSc, for check() to throw; returns the code to hand to
/// PETSc.
int keep_exception(std::exception_ptr exception) noexcept;

/// Runs the body of a callback: 0, or the code of a kept exception.
template <class Body>
int guarded(Body&& body) noexcept {
  try {
    body();
    return 0;
  } catch (...) {
    return keep_exception(std::current_exception());
  }
}

}  // namespace dualscape::petsc
