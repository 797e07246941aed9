#pragma once

#include "dualscape/base/comm.hpp"

/// Stopping in good order. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 set a flag; the work looks at it where it can
/// leave a checkpoint, and ends with an Interrupted error.
namespace dualscape {

/// Installs the handlers; a second SIGINT ends the process at once.
void install_stop_handlers();
/// Whether this rank was asked to stop.
bool stop_requested() noexcept;
/// Sets or clears the flag, as a signal would.
void request_stop(bool stop = true) noexcept;
/// Throws Interrupted on every rank when any rank was asked to stop. @note Collective
void stop_point(const Comm& comm, const std::string& where);

}  // namespace dualscape
