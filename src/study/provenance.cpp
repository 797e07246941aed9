#include "dualscape/study/provenance.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/version.hpp"
#include "dualscape/h5/version.hpp"
#include "dualscape/petsc/version.hpp"

namespace dualscape::study {
namespace {

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  // "Open MPI v4.1.4, package: ...": the first part is enough.
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  return whole.substr(0, whole.find(','));
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

std::vector<std::string> library_versions() {
  return {mpi_version(), petsc::petsc_version(), petsc::slepc_version(), h5::library_version(),
          blas_description()};
}

std::string version_text() {
  std::string text = fmt::format("dualscape {}\ncommit {}{}\n", build_info.version, build_info.commit,
                                 build_info.dirty ? " (with changes)" : "");
  for (const std::string& library : library_versions()) text += library + "\n";
  text.pop_back();
  return text;
}

void add_provenance(h5::OutputFile& file, const Comm& comm, const deck::Config& config,
                    const std::string& command_line) {
  file.attribute("/", "title", config.title);
  file.attribute("/", "code_version", std::string(build_info.version));
  file.attribute("/", "git_commit", std::string(build_info.commit));
  file.attribute("/", "git_dirty", build_info.dirty);
  file.attribute("/", "library_versions", library_versions());
  file.attribute("/", "ranks", Index{comm.size()});
  file.attribute("/", "threads", Index{config.numerics.threads});
  file.attribute("/", "seed", static_cast<Index>(config.seed));
  file.attribute("/", "date", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))));
  file.attribute("/", "host", host_name());
  file.attribute("/", "command_line", command_line);
}

}  // namespace dualscape::study
