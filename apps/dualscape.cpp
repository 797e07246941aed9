/// The program `dualscape`: reads the command line, prints errors as one message from rank 0, and turns them
/// into the exit status that is part of the interface.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <csignal>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/signals.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/deck/reference.hpp"
#include "dualscape/deck/suggest.hpp"
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

/// PETSc takes whatever it is given: what is neither an option nor its value is found here.
void check_options(const std::vector<std::string>& options) {
  bool after_option = false;
  for (const std::string& word : options) {
    const bool option =
        word.size() > 1 && word[0] == '-' && std::isalpha(static_cast<unsigned char>(word[1]));
    if (!option && !after_option)
      throw UsageError(fmt::format("'{}' after -- is no option; expected -name or -name value", word));
    after_option = option;
  }
}

void run(const Comm& comm, Log& log, const Arguments& arguments,
         const std::vector<std::string>& petsc_options, const std::string& command_line) {
  install_stop_handlers();
  check_options(petsc_options);
  const std::string text = deck_text(comm, arguments.deck);
  deck::Config config;
  collectively(comm, [&] { config = deck::read_deck(text, arguments.deck, arguments.settings); });
  if (!arguments.output.empty()) config.output.directory = arguments.output;
  petsc::Session session(petsc_options);
  study::run(comm, config,
             {.deck_original = text,
              .command_line = command_line,
              .resume = arguments.resume,
              .force = arguments.force},
             log);
  const auto unused = session.unused_options();
  if (unused.empty()) return;
  const auto message = fmt::format("{} after -- {} not used by PETSc or SLEPc in this run; its result stands",
                                   fmt::join(unused, ", "), unused.size() == 1 ? "was" : "were");
  // What is left of a resumed run may need no solver.
  if (!arguments.resume) throw UsageError(message);
  log.warning("{}", message);
}

void validate(const Comm& comm, const Arguments& arguments) {
  const std::string text = deck_text(comm, arguments.deck);
  collectively(comm, [&] { deck::read_deck(text, arguments.deck, arguments.settings); });
  if (comm.is_root()) std::cout << arguments.deck << ": no problems found\n";
}

/// The command line's grammar, bound to `arguments`.
struct CommandLine {
  CLI::App app{
      "Splits the generalization gap of neural networks over the directions of their loss landscape.",
      "dualscape"};
  CLI::App* run = app.add_subcommand("run", "Run a deck: train, find the curvature, decompose the gap");
  CLI::App* validate = app.add_subcommand("validate", "Check a deck and list every problem");
  CLI::App* schema = app.add_subcommand("schema", "Print the reference of all deck keys");
  CLI::App* info = app.add_subcommand("info", "Show what a result file holds");

  explicit CommandLine(Arguments& arguments) {
    app.set_version_flag("--version", [] { return study::version_text(); });
    app.require_subcommand(1);
    for (auto* command : {run, validate}) {
      command->add_option("deck", arguments.deck, "the deck, a TOML file")->required();
      command->add_option("--set", arguments.settings, "overrides the deck; may be repeated")
          ->allow_extra_args(false)
          ->type_name("section.key=value");
    }
    run->add_option("--output", arguments.output, "folder of the results, instead of output.directory")
        ->type_name("DIR");
    auto* resume = run->add_flag("--resume", arguments.resume, "continue a run: do only what is missing");
    run->add_flag("--force", arguments.force, "start anew in a folder that holds a run")->excludes(resume);
    run->footer("Options after -- go to PETSc and SLEPc, e.g. -- -eps_ncv 40");
    schema->add_option("--format", arguments.format, "md or json")->check(CLI::IsMember({"md", "json"}));
    info->add_option("file", arguments.file, "a result file")->required();
  }

  /// One message for everything CLI11 can find wrong; `given`: the first argument, if any.
  std::string explain(const CLI::ParseError& error, const std::string& given) const {
    const auto parsed = app.get_subcommands();
    if (parsed.empty()) {
      const auto commands = names(app.get_subcommands({}));
      return fmt::format(
          "{} (expected {})",
          given.empty() ? "no command is given"
                        : fmt::format("'{}' is no command{}", given, deck::did_you_mean(given, commands)),
          fmt::join(commands, ", "));
    }
    const CLI::App& command = *parsed.front();
    const auto extra = command.remaining();
    if (extra.empty())
      return fmt::format("{0}: {1}; see dualscape {0} --help", command.get_name(), error.what());
    const auto options = names(command.get_options());
    return fmt::format("{}: '{}' is not expected{} (expected {})", command.get_name(), extra.front(),
                       deck::did_you_mean(extra.front(), options), fmt::join(options, ", "));
  }

 private:
  static std::vector<std::string> names(const auto& items) {
    std::vector<std::string> all;
    for (const auto* item : items) all.push_back(item->get_name());
    return all;
  }
};

int dispatch(const Comm& comm, Log& log, std::span<char* const> argv) {
  // What follows "--" is PETSc's.
  const auto separator = std::ranges::find(argv, std::string_view("--"));
  const std::vector<std::string> petsc_options(separator == argv.end() ? separator : separator + 1,
                                               argv.end());
  const auto own = std::span(argv.begin(), separator);
  Arguments arguments;
  CommandLine line(arguments);
  try {
    line.app.parse(static_cast<int>(own.size()), own.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw UsageError(line.explain(error, own.size() > 1 ? own[1] : ""));
    // Help and version are "errors" of value 0.
    if (comm.is_root()) line.app.exit(error);
    return 0;
  }
  if (line.run->parsed()) {
    run(comm, log, arguments, petsc_options, fmt::format("{}", fmt::join(argv, " ")));
    return 0;
  }
  if (separator != argv.end()) throw UsageError("options after -- are for dualscape run alone");
  if (line.validate->parsed()) validate(comm, arguments);
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
