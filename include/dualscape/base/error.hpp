#pragma once

#include <stdexcept>
#include <string>

/// Errors as users meet them: one message each, and the exit status it leads to.
namespace dualscape {

/// Exit status of the program; part of its interface.
enum class ExitCode : int {
  success = 0,
  usage = 2,  ///< the deck or the command line is wrong
  data = 3,   ///< input data cannot be used
  computation =
      4,  ///< the computation failed, did not converge as asked, or its results could not be written
  interrupted = 5,  ///< stopped by a signal or a time limit, with a checkpoint to resume from
};

/// Base of every error the project throws on purpose. The message is complete: it names the file, the line or
/// the key, and what was expected.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// The deck or the command line is wrong.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};

/// Input data (samples, labels, weights) cannot be used.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};

/// The computation failed, did not converge as asked, or its results could not be written.
class ComputationError : public Error {
 public:
  explicit ComputationError(const std::string& message) : Error(ExitCode::computation, message) {}
};

/// The run was asked to stop and has left a checkpoint.
class Interrupted : public Error {
 public:
  explicit Interrupted(const std::string& message) : Error(ExitCode::interrupted, message) {}
};

}  // namespace dualscape
