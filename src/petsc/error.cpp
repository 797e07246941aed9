#include "dualscape/petsc/error.hpp"

#include <petscsys.h>

#include <utility>

namespace dualscape::petsc {
namespace {

std::exception_ptr kept;

}  // namespace

int keep_exception(std::exception_ptr exception) noexcept {
  kept = std::move(exception);
  return PETSC_ERR_USER;
}

void check(int code, std::string_view call) {
  if (code == 0) return;
  if (kept) std::rethrow_exception(std::exchange(kept, nullptr));

  std::string message = std::string(call) + " failed with PETSc's code " + std::to_string(code);
  const char* general = nullptr;
  char* specific = nullptr;
  // A failure to look up the text leaves the code, which says enough.
  if (PetscErrorMessage(code, &general, &specific) == 0) {
    if (general != nullptr) message += std::string(": ") + general;
    if (specific != nullptr && *specific != '\0') message += std::string(": ") + specific;
  }
  throw CallError(message);
}

}  // namespace dualscape::petsc
