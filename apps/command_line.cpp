#include "command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "dualscape/deck/suggest.hpp"
#include "dualscape/study/provenance.hpp"

namespace {

std::vector<std::string> names(const auto& items) {
  std::vector<std::string> all;
  for (const auto* item : items) all.push_back(item->get_name());
  return all;
}

}  // namespace

CommandLine::CommandLine(Arguments& arguments) {
  app.set_version_flag("--version", [] { return dualscape::study::version_text(); });
  app.require_subcommand(1);
  for (auto* command : {run, study, validate, plan}) {
    command->add_option("deck", arguments.deck, "the deck, a TOML file")->required();
    command->add_option("--set", arguments.settings, "overrides the deck; may be repeated")
        ->allow_extra_args(false)
        ->type_name("section.key=value");
  }
  for (auto* command : {run, study}) {
    command->add_option("--output", arguments.output, "folder of the results, instead of output.directory")
        ->type_name("DIR");
    auto* resume = command->add_flag("--resume", arguments.resume,
                                     "continue what the folder holds: do only what is missing");
    command->add_flag("--force", arguments.force, "start anew in a folder that holds results")
        ->excludes(resume);
    command->footer("Options after -- go to PETSc and SLEPc, e.g. -- -eps_ncv 40");
  }
  auto* list = study->add_flag("--list", arguments.list, "list the runs and how they stand, and do nothing");
  study->add_flag("--dry-run", arguments.dry_run, "say what the runs would cost, and do nothing")
      ->excludes(list);
  study->add_option("--only", arguments.only, "these runs only, e.g. 3,7-9")->type_name("RUNS");
  study
      ->add_option("--part", arguments.part,
                   "the i-th of n parts of about equal cost, for n jobs side by side")
      ->type_name("i/n");
  collect->add_option("folder", arguments.folder, "the study's folder")->required();
  plan->add_option("--ranks", arguments.ranks, "numbers of MPI ranks")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  schema->add_option("--format", arguments.format, "md or json")->check(CLI::IsMember({"md", "json"}));
  info->add_option("file", arguments.file, "a result file")->required();
}

std::string CommandLine::explain(const CLI::ParseError& error, const std::string& given) const {
  const auto parsed = app.get_subcommands();
  if (parsed.empty()) {
    const auto commands = names(app.get_subcommands({}));
    return fmt::format("{} (expected {})",
                       given.empty() ? "no command is given"
                                     : fmt::format("'{}' is no command{}", given,
                                                   dualscape::deck::did_you_mean(given, commands)),
                       fmt::join(commands, ", "));
  }
  const CLI::App& command = *parsed.front();
  const auto extra = command.remaining();
  if (extra.empty())
    return fmt::format("{0}: {1}; see dualscape {0} --help", command.get_name(), error.what());
  const auto options = names(command.get_options());
  return fmt::format("{}: '{}' is not expected{} (expected {})", command.get_name(), extra.front(),
                     dualscape::deck::did_you_mean(extra.front(), options), fmt::join(options, ", "));
}
