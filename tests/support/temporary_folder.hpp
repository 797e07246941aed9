#pragma once

#include <mpi.h>

#include <filesystem>
#include <string>

#include "dualscape/base/comm.hpp"

namespace dualscape::testing {

/// A folder of its own for one test, the same on every rank, removed with all it holds at the end. @note
/// Collective
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const Comm& comm) : comm_(comm) {
    std::string name = (std::filesystem::temp_directory_path() / "dualscape-test-XXXXXX").string();
    on_root(comm_, [&] {
      if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    });
    comm_.broadcast(name);
    path_ = name;
  }
  ~TemporaryFolder() {
    comm_.barrier();
    std::error_code ignored;
    if (comm_.is_root()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  const Comm& comm_;
  std::filesystem::path path_;
};

}  // namespace dualscape::testing
