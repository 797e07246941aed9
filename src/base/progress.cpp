#include "dualscape/base/progress.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace dualscape {
namespace {

using namespace std::chrono_literals;

constexpr auto redraw_every = 100ms;
constexpr auto line_every = 10s;

/// Whether a person watches. Open MPI gives its ranks a terminal of their own, wherever its own output goes:
/// that of the launcher, which started this process, tells.
bool on_terminal() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr) return true;
  const int parent = ::open(fmt::format("/proc/{}/fd/1", getppid()).c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (parent < 0) return false;
  const bool terminal = isatty(parent) == 1;
  ::close(parent);
  return terminal;
}

}  // namespace

Progress::Progress(Log& log, std::string label, std::string unit, double total)
    : log_(log),
      label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(log.on_screen() && on_terminal()),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stdout);
}

void Progress::update(double done, const std::string& note) {
  if (!log_.speaks()) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < (terminal_ ? std::chrono::steady_clock::duration(redraw_every) : line_every)) return;
  last_ = now;
  draw(done, note);
}

void Progress::draw(double done, const std::string& note) {
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  if (!terminal_) {
    const std::string of = total_ > 0 ? fmt::format(" of {:.0f}", total_) : "";
    log_.info("  {}: {:.0f}{} {}, {:.0f} s{}{}", label_, done, of, unit_, seconds, note.empty() ? "" : ", ",
              note);
    return;
  }
  std::string bar;
  if (total_ > 0) {
    constexpr int width = 30;
    const int filled = static_cast<int>(width * std::clamp(done / total_, 0.0, 1.0));
    bar = fmt::format(" [{:=<{}}{:<{}}]", "", filled, "", width - filled);
  }
  std::fprintf(stdout, "\r\033[K  %s%s %.0f %s  %s", label_.c_str(), bar.c_str(), done, unit_.c_str(),
               note.c_str());
  std::fflush(stdout);
  drawn_ = true;
}

}  // namespace dualscape
