#pragma once

#include <string>
#include <vector>

namespace dualscape::petsc {

/// PETSc and SLEPc from start to end of the program (MPI as well, unless it runs already). PETSc's signal
/// handler, its error print-outs and its warning about unused options are off: errors become exceptions,
/// signals are the program's own. One at a time; every handle must be gone before it ends.
class Session {
 public:
  /// `options`: PETSc options as the user wrote them, e.g. {"-eps_type", "lobpcg"}. Throws CallError.
  /// @note Collective over MPI_COMM_WORLD
  explicit Session(std::vector<std::string> options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Names of the given options that nothing has read so far, in the order given.
  std::vector<std::string> unused_options() const;

 private:
  std::vector<std::string> options_;
  std::vector<std::string> arguments_;
  std::vector<char*> pointers_;  ///< PETSc keeps argv to its end
  int count_ = 0;
  char** argv_ = nullptr;
};

/// PETSc objects that handles own at present on this rank: zero when nothing leaks.
int handles_alive() noexcept;

}  // namespace dualscape::petsc
