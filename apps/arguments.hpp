#pragma once

#include <string>
#include <vector>

/// What the user may type, bound to `Arguments`.
struct Arguments {
  std::string deck;
  std::vector<std::string> settings;
  std::string output;
  bool resume = false;
  bool force = false;
  bool list = false;
  bool dry_run = false;
  std::string only;
  std::string part;
  std::string file;
  std::string folder;
  std::string format = "md";
  std::vector<int> ranks = {1, 2, 4, 16, 64, 256, 1024, 4096};  ///< of a plan

  std::vector<std::string> petsc_options;  ///< what follows --
  std::string command_line;
};
