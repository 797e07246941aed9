#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "arguments.hpp"

/// The command line's grammar.
class CommandLine {
 public:
  explicit CommandLine(Arguments& arguments);

  /// One message for everything CLI11 can find wrong; `given`: the first argument, if any.
  std::string explain(const CLI::ParseError& error, const std::string& given) const;

  CLI::App app{
      "Splits the generalization gap of neural networks over the directions of their loss landscape.",
      "dualscape"};
  CLI::App* run = app.add_subcommand("run", "Run a deck: train, find the curvature, decompose the gap");
  CLI::App* study =
      app.add_subcommand("study", "Run a deck at all points of its [study], over groups of ranks");
  CLI::App* collect = app.add_subcommand("collect", "Make study.h5 of what a study's run folders hold");
  CLI::App* validate = app.add_subcommand("validate", "Check a deck and list every problem");
  CLI::App* plan = app.add_subcommand("plan", "Print memory and cost of a deck's eigenpairs; runs nothing");
  CLI::App* schema = app.add_subcommand("schema", "Print the reference of all deck keys");
  CLI::App* info = app.add_subcommand("info", "Show what a result file holds");
};
