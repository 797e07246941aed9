#include "dualscape/base/signals.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>

#include "dualscape/base/error.hpp"

namespace dualscape {
namespace {

std::atomic<bool> stop_flag = false;
static_assert(std::atomic<bool>::is_always_lock_free, "the flag is set inside a signal handler");

void on_signal(int signal) {
  if (signal == SIGINT && stop_flag) std::_Exit(128 + SIGINT);
  stop_flag = true;
}

}  // namespace

void install_stop_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) sigaction(signal, &action, nullptr);
}

bool stop_requested() noexcept {
  return stop_flag;
}

void request_stop(bool stop) noexcept {
  stop_flag = stop;
}

void stop_point(const Comm& comm, const std::string& where) {
  if (!comm.all_true(!stop_requested())) throw Interrupted("stopped by a signal " + where);
}

}  // namespace dualscape
