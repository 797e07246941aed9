/// The program `dualscape`: reads the command line, prints errors as one message from rank 0, and turns them
/// into the exit status that is part of the interface.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "commands.hpp"
#include "dualscape/base/comm.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/deck/reference.hpp"
#include "info.hpp"

namespace {

using namespace dualscape;

int dispatch(const Comm& comm, Log& log, std::span<char* const> argv) {
  // What follows "--" is PETSc's.
  const auto separator = std::ranges::find(argv, std::string_view("--"));
  const auto own = std::span(argv.begin(), separator);
  Arguments arguments;
  arguments.petsc_options.assign(separator == argv.end() ? separator : separator + 1, argv.end());
  arguments.command_line = fmt::format("{}", fmt::join(argv, " "));
  CommandLine line(arguments);
  try {
    line.app.parse(static_cast<int>(own.size()), own.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw UsageError(line.explain(error, own.size() > 1 ? own[1] : ""));
    // Help and version are "errors" of value 0.
    if (comm.is_root()) line.app.exit(error);
    return 0;
  }
  if (separator != argv.end() && !line.run->parsed() && !line.study->parsed())
    throw UsageError("options after -- are for dualscape run and dualscape study alone");
  if (line.run->parsed()) run_command(comm, log, arguments);
  if (line.study->parsed()) study_command(comm, log, arguments);
  if (line.collect->parsed()) collect_command(comm, arguments);
  if (line.validate->parsed()) validate_command(comm, arguments);
  if (line.plan->parsed()) plan_command(comm, arguments);
  if (line.schema->parsed() && comm.is_root())
    std::cout << (arguments.format == "md" ? deck::reference_markdown() : deck::reference_json());
  if (line.info->parsed()) on_root(comm, [&] { std::cout << info_text(arguments.file); });
  on_root(comm, [] {
    if (!std::cout.flush()) throw ComputationError("cannot write to standard output");
  });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  MPI_Init(&argc, &argv);
  // A limit on the size of files is to arrive as a failed write, not as a signal that ends the program.
  std::signal(SIGXFSZ, SIG_IGN);
  int status = 0;
  {
    const Comm comm(MPI_COMM_WORLD);
    Log log(comm.is_root());
    try {
      status = dispatch(comm, log, std::span(argv, static_cast<std::size_t>(argc)));
    } catch (const Error& error) {
      log.error(error.what());
      status = static_cast<int>(error.code());
    } catch (const std::exception& error) {
      // Not one of ours: it may have struck this rank alone, and the others may be waiting for it.
      std::cerr << "dualscape: rank " << comm.rank() << ": " << error.what() << "\n";
      MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::computation));
    }
  }
  MPI_Finalize();
  return status;
}
