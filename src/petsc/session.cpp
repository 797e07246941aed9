#include "dualscape/petsc/session.hpp"

#include <slepcsys.h>

#include <algorithm>
#include <set>

#include "dualscape/base/live_objects.hpp"
#include "dualscape/petsc/error.hpp"
#include "dualscape/petsc/handle.hpp"

namespace dualscape::petsc {
namespace {

int alive_count = 0;

}  // namespace

void count_handles(int change) noexcept {
  alive_count += change;
  count_live_object(change);
}

int handles_alive() noexcept {
  return alive_count;
}

Session::Session(std::vector<std::string> options) : options_(std::move(options)) {
  // Reproducible random vectors: SLEPc draws one itself when a Krylov space ends early. No ~/.petscrc: a run
  // is described by its deck and its command line.
  arguments_ = {"dualscape", "-no_signal_handler",      "-skip_petscrc", "-options_left",
                "0",         "-bv_reproducible_random", "true"};
  arguments_.insert(arguments_.end(), options_.begin(), options_.end());
  for (std::string& argument : arguments_) pointers_.push_back(argument.data());
  pointers_.push_back(nullptr);
  count_ = static_cast<int>(arguments_.size());
  argv_ = pointers_.data();
  check(SlepcInitialize(&count_, &argv_, nullptr, nullptr), "SlepcInitialize");
  check(PetscPushErrorHandler(PetscReturnErrorHandler, nullptr), "PetscPushErrorHandler");
}

Session::~Session() {
  static_cast<void>(PetscPopErrorHandler());
  static_cast<void>(SlepcFinalize());
}

std::vector<std::string> Session::unused_options() const {
  PetscInt count = 0;
  char** names = nullptr;
  char** values = nullptr;
  check(PetscOptionsLeftGet(nullptr, &count, &names, &values), "PetscOptionsLeftGet");
  std::set<std::string> left;
  for (PetscInt i = 0; i < count; ++i) left.insert(std::string("-") + names[i]);
  check(PetscOptionsLeftRestore(nullptr, &count, &names, &values), "PetscOptionsLeftRestore");

  // Only what the user gave: the environment's options and our own defaults may well go unread.
  std::vector<std::string> unused;
  for (const std::string& option : options_)
    if (left.contains(option) && std::ranges::find(unused, option) == unused.end()) unused.push_back(option);
  return unused;
}

}  // namespace dualscape::petsc
