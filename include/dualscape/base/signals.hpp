#pragma once

#include <functional>

#include "dualscape/base/comm.hpp"

/// Stopping in good order. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 set a flag; the work looks at it where it can
/// leave a checkpoint, and ends with an Interrupted error.
namespace dualscape {

/// Installs the handlers; a second SIGINT ends the process at once.
void install_stop_handlers();
/// Whether this rank was asked to stop.
bool stop_requested();
/// Sets or clears the flag, as a signal would.
void request_stop(bool stop = true) noexcept;
/// `poll` is asked now and then where the work looks for a signal (at most every 20 ms): whether to stop as
/// if one had come. Replaces an earlier one; empty: none.
void set_stop_poll(std::function<bool()> poll);
/// Throws Interrupted on every rank when any rank was asked to stop. @note Collective
void stop_point(const Comm& comm, const std::string& where);

}  // namespace dualscape
