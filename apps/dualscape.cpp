/// The program `dualscape`: reads the command line, prints errors as one message from rank 0, and turns them
/// into the exit status that is part of the interface.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/base/signals.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/deck/reference.hpp"
#include "dualscape/petsc/session.hpp"
#include "dualscape/study/provenance.hpp"
#include "dualscape/study/run.hpp"
#include "dualscape/study/run_folder.hpp"
#include "info.hpp"

namespace {

using namespace dualscape;

struct Arguments {
  std::string deck;
  std::vector<std::string> settings;
  std::string output;
  bool resume = false;
  bool force = false;
  std::string file;
  std::string format = "md";
};

/// A deck is read by rank 0 and parsed by all from the same text.
std::string deck_text(const Comm& comm, const std::string& path) {
  std::string text;
  on_root(comm, [&] {
    try {
      text = study::read_file(path);
    } catch (const DataError& error) {
      throw UsageError(error.what());
    }
  });
  comm.broadcast(text);
  return text;
}

void run(const Comm& comm, Log& log, const Arguments& arguments,
         const std::vector<std::string>& petsc_options, const std::string& command_line) {
  std::vector<std::string> settings = arguments.settings;
  const std::string text = deck_text(comm, arguments.deck);
  deck::Config config;
  collectively(comm, [&] { config = deck::read_deck(text, arguments.deck, settings); });
  if (!arguments.output.empty()) config.output.directory = arguments.output;
  petsc::Session session(petsc_options);
  install_stop_handlers();
  study::run(comm, config,
             {.deck_original = text,
              .command_line = command_line,
              .resume = arguments.resume,
              .force = arguments.force},
             log);
  if (const auto unused = session.unused_options(); !unused.empty())
    throw UsageError(
        fmt::format("option {} after -- was not used by PETSc or SLEPc", fmt::join(unused, ", ")));
}

void validate(const Comm& comm, const Arguments& arguments) {
  const std::string text = deck_text(comm, arguments.deck);
  collectively(comm, [&] { deck::read_deck(text, arguments.deck, arguments.settings); });
  if (comm.is_root()) std::cout << arguments.deck << ": no problems found\n";
}

int dispatch(const Comm& comm, Log& log, std::span<char* const> argv) {
  // What follows "--" is PETSc's.
  const auto separator = std::ranges::find(argv, std::string_view("--"));
  const std::vector<std::string> petsc_options(separator == argv.end() ? separator : separator + 1,
                                               argv.end());
  const std::string command_line = fmt::format("{}", fmt::join(argv, " "));

  Arguments arguments;
  CLI::App app(
      "Splits the generalization gap of neural networks over the directions of their loss landscape.",
      "dualscape");
  app.set_version_flag("--version", [] { return study::version_text(); });
  app.require_subcommand(1);
  auto* run_command = app.add_subcommand("run", "Run a deck: train, find the curvature, decompose the gap");
  auto* validate_command = app.add_subcommand("validate", "Check a deck and list every problem");
  auto* schema_command = app.add_subcommand("schema", "Print the reference of all deck keys");
  auto* info_command = app.add_subcommand("info", "Show what a result file holds");
  for (auto* command : {run_command, validate_command}) {
    command->add_option("deck", arguments.deck, "the deck, a TOML file")->required();
    command->add_option("--set", arguments.settings, "section.key=value: overrides the deck; may be repeated")
        ->allow_extra_args(false);
  }
  run_command->add_option("--output", arguments.output, "folder of the results, instead of output.directory");
  auto* resume =
      run_command->add_flag("--resume", arguments.resume, "continue a run: do only what is missing");
  run_command->add_flag("--force", arguments.force, "start anew in a folder that holds a run")
      ->excludes(resume);
  run_command->footer("Options after -- go to PETSc and SLEPc, e.g. -- -eps_ncv 40");
  schema_command->add_option("--format", arguments.format, "md or json")
      ->check(CLI::IsMember({"md", "json"}));
  info_command->add_option("file", arguments.file, "a result file")->required();

  try {
    app.parse(static_cast<int>(separator - argv.begin()), argv.data());
  } catch (const CLI::ParseError& error) {
    // Help and version are "errors" of value 0.
    if (comm.is_root()) app.exit(error);
    return error.get_exit_code() == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  if (run_command->parsed()) run(comm, log, arguments, petsc_options, command_line);
  if (validate_command->parsed()) validate(comm, arguments);
  if (schema_command->parsed() && comm.is_root())
    std::cout << (arguments.format == "md" ? deck::reference_markdown() : deck::reference_json());
  if (info_command->parsed()) on_root(comm, [&] { std::cout << info_text(arguments.file); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
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
