#pragma once

#include <petscsys.h>

#include <string>
#include <utility>

#include "dualscape/petsc/error.hpp"

namespace dualscape::testing {

/// An option in PETSc's database for the length of a scope.
class Option {
 public:
  Option(std::string name, const char* value) : name_(std::move(name)) {
    petsc::check(PetscOptionsSetValue(nullptr, name_.c_str(), value), "PetscOptionsSetValue");
  }
  ~Option() { static_cast<void>(PetscOptionsClearValue(nullptr, name_.c_str())); }
  Option(const Option&) = delete;
  Option& operator=(const Option&) = delete;

 private:
  std::string name_;
};

}  // namespace dualscape::testing
