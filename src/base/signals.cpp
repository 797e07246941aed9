#include "dualscape/base/signals.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "dualscape/base/error.hpp"

namespace dualscape {
namespace {

std::atomic<bool> stop_flag = false;
static_assert(std::atomic<bool>::is_always_lock_free, "the flag is set inside a signal handler");

constexpr auto poll_every = std::chrono::milliseconds(20);
std::function<bool()> stop_poll;
std::chrono::steady_clock::time_point last_poll;

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

bool stop_requested() {
  if (stop_flag || !stop_poll) return stop_flag;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_poll < poll_every) return false;
  last_poll = now;
  if (stop_poll()) stop_flag = true;
  return stop_flag;
}

void set_stop_poll(std::function<bool()> poll) {
  stop_poll = std::move(poll);
}

void request_stop(bool stop) noexcept {
  stop_flag = stop;
}

void stop_point(const Comm& comm, const std::string& where) {
  if (!comm.all_true(!stop_requested())) throw Interrupted("stopped by a signal " + where);
}

}  // namespace dualscape
