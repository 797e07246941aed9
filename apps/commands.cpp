#include "commands.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iostream>
#include <optional>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/petsc/session.hpp"
#include "dualscape/study/collect.hpp"
#include "dualscape/study/run.hpp"
#include "dualscape/study/run_folder.hpp"
#include "dualscape/study/study.hpp"

using namespace dualscape;

namespace {

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

/// The options that no rank has used: what is left to do of resumed work may need no solver, nor may each
/// rank.
std::vector<std::string> unused_options(const Comm& comm, const Arguments& arguments,
                                        const petsc::Session& session) {
  const auto unused_here = session.unused_options();
  std::vector<std::string> unused;
  for (const std::string& option : arguments.petsc_options) {
    const bool here = std::ranges::count(unused_here, option) > 0;
    if (comm.all_true(here) && std::ranges::count(unused, option) == 0) unused.push_back(option);
  }
  return unused;
}

void complain_of_unused(const Comm& comm, Log& log, const Arguments& arguments,
                        const petsc::Session& session) {
  const auto unused = unused_options(comm, arguments, session);
  if (unused.empty()) return;
  const auto message = fmt::format("{} after -- {} not used by PETSc or SLEPc in this run; its result stands",
                                   fmt::join(unused, ", "), unused.size() == 1 ? "was" : "were");
  if (!arguments.resume) throw UsageError(message);
  log.warning("{}", message);
}

study::StudyFolder study_folder(const study::Plan& plan, const Arguments& arguments) {
  const auto& directory = plan.deck().output.directory;
  if (arguments.output.empty() && directory.empty())
    throw UsageError(
        "there is no folder for the results: set output.directory in the deck, or give --output");
  return study::StudyFolder(arguments.output.empty() ? directory : std::filesystem::path(arguments.output));
}

}  // namespace

void run_command(const Comm& comm, Log& log, const Arguments& arguments) {
  install_stop_handlers();
  check_options(arguments.petsc_options);
  const std::string text = deck_text(comm, arguments.deck);
  deck::Config config;
  collectively(comm, [&] { config = deck::read_deck(text, arguments.deck, arguments.settings); });
  if (!arguments.output.empty()) config.output.directory = arguments.output;
  const petsc::Session session(arguments.petsc_options);
  study::run(comm, config,
             {.deck_original = text,
              .command_line = arguments.command_line,
              .resume = arguments.resume,
              .force = arguments.force},
             log);
  complain_of_unused(comm, log, arguments, session);
}

void study_command(const Comm& comm, Log& log, const Arguments& arguments) {
  install_stop_handlers();
  check_options(arguments.petsc_options);
  const std::string text = deck_text(comm, arguments.deck);
  std::optional<study::Plan> plan;
  collectively(comm, [&] { plan.emplace(text, arguments.deck, arguments.settings); });
  const study::Choice choice{.only = arguments.only, .part = arguments.part};
  if (arguments.dry_run)
    return on_root(comm, [&] { std::cout << study::forecast_text(*plan, choice, comm.size()); });
  const auto folder = study_folder(*plan, arguments);
  if (arguments.list) return on_root(comm, [&] { std::cout << study::list_text(*plan, folder, choice); });
  const petsc::Session session(arguments.petsc_options);
  study::run_study(comm, *plan, folder,
                   {.deck_original = text,
                    .command_line = arguments.command_line,
                    .resume = arguments.resume,
                    .force = arguments.force,
                    .choice = choice},
                   log);
  complain_of_unused(comm, log, arguments, session);
}

void collect_command(const Comm& comm, const Arguments& arguments) {
  on_root(comm, [&] {
    const study::StudyFolder folder(arguments.folder);
    study::collect(folder, folder.plan(), arguments.command_line, study::Wait::yes);
    std::cout << folder.collected().string() << " written\n";
  });
}

void validate_command(const Comm& comm, const Arguments& arguments) {
  const std::string text = deck_text(comm, arguments.deck);
  collectively(comm, [&] {
    if (deck::read_deck(text, arguments.deck, arguments.settings).study)
      study::Plan(text, arguments.deck, arguments.settings);
  });
  if (comm.is_root()) std::cout << arguments.deck << ": no problems found\n";
}

void plan_command(const Comm& comm, const Arguments& arguments) {
  const std::string text = deck_text(comm, arguments.deck);
  deck::Config config;
  collectively(comm, [&] { config = deck::read_deck(text, arguments.deck, arguments.settings); });
  const std::string table = study::plan_of_deck(comm, config, arguments.ranks);
  if (comm.is_root()) std::cout << table;
}
