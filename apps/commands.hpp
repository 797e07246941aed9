#pragma once

#include "arguments.hpp"
#include "dualscape/base/comm.hpp"
#include "dualscape/base/log.hpp"

/// The subcommands that work; each throws the error that ends the program. @note Collective
void run_command(const dualscape::Comm& comm, dualscape::Log& log, const Arguments& arguments);
void study_command(const dualscape::Comm& comm, dualscape::Log& log, const Arguments& arguments);
void collect_command(const dualscape::Comm& comm, const Arguments& arguments);
void validate_command(const dualscape::Comm& comm, const Arguments& arguments);
/// What a deck's search for eigenpairs will cost, for several numbers of ranks. @note Collective
void plan_command(const dualscape::Comm& comm, const Arguments& arguments);
