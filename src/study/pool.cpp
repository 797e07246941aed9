#include "dualscape/study/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"
#include "dualscape/study/collect.hpp"
#include "dualscape/study/run.hpp"

namespace dualscape::study {
namespace {

/// Runs of less than this share one flush of the disk: seconds.
constexpr double quick_run = 1.0;
/// Quick runs wait at most about this long for it, and flushing takes at most one part in twenty of the time.
constexpr double settle_every = 2.0;
constexpr double collect_every = 10.0;
constexpr double share_of_time = 20.0;

/// Costs as whole numbers, for the queue's counters: parts of this many.
constexpr double whole_weight = 1e12;

}  // namespace

Pool::Pool(const Comm& world, const Plan& plan, const StudyFolder& folder, const StudyOptions& options,
           std::vector<Index> order, std::span<const double> costs, data::Cache& cache, Log& log)
    : world_(world),
      plan_(plan),
      folder_(folder),
      options_(options),
      order_(std::move(order)),
      costs_(costs),
      cache_(cache),
      log_(log),
      groups_(world.size() / plan.study().ranks_per_run),
      group_number_(world.rank() / plan.study().ranks_per_run),
      group_(world.split(std::min(group_number_, groups_))),
      queue_(world, std::ssize(order_), folder.path(),
             {.number = std::min(group_number_, groups_), .of = std::max(1, groups_)}) {
  for (Index run : order_) whole_cost_ += costs_[static_cast<std::size_t>(run)];
  if (world.is_root()) progress_.emplace(log, "study", "runs", static_cast<double>(order_.size()));
  if (!queue_.shared())
    log.warning(
        "ranks on different nodes cannot lock a file together: the runs are dealt out in turn, whoever is "
        "free");
  world.barrier();
  start_ = Clock::now();
}

Pool::~Pool() {
  set_stop_poll({});
}

Index Pool::weight(Index run) const {
  return static_cast<Index>(whole_weight * costs_[static_cast<std::size_t>(run)] /
                            std::max(1.0, whole_cost_));
}

PoolReport Pool::work() {
  if (works() && group_.is_root())
    set_stop_poll([this] {
      show();
      return queue_.counts().stopped;
    });
  double idle_since = now();
  while (works()) {
    if (!group_.all_true(!stop_requested())) stopped_ = true;
    if (stopped_) queue_.stop();
    Index position = -1;
    if (group_.is_root()) position = queue_.take().value_or(-1);
    position = group_.broadcast_value(position);
    if (position < 0) break;
    idle_ += now() - idle_since;
    execute(order_[static_cast<std::size_t>(position)]);
    idle_since = now();
    settle_some(false);
    collect_some();
    show();
  }
  const double empty_at = works() ? now() : HUGE_VAL;
  settle_some(true);
  set_stop_poll({});
  PoolReport report;
  report.stopped = !world_.all_true(!stopped_ && !queue_.counts().stopped);
  const double until = -world_.max(-empty_at);
  report.least_busy = works() && until > 0 ? std::max(0.0, 1.0 - idle_ / until) : 1.0;
  report.least_busy = -world_.max(-report.least_busy);
  report.elsewhere = world_.sum(group_.is_root() ? elsewhere_ : Index{0});
  report.seconds = now();
  collectively(world_, [&] {
    if (!storage_failure_.empty()) throw ComputationError(storage_failure_);
  });
  progress_.reset();
  return report;
}

Pool::Claim Pool::claim(Index run, std::optional<FolderLock>& lock) {
  const RunFolder folder = folder_.run(run);
  try {
    lock.emplace(folder.lock());
    if (options_.force || folder.progression() != Progression::done || folder.damage_of_result())
      return Claim::granted;
    return Claim::done;
  } catch (const UsageError&) {
    return Claim::elsewhere;
  } catch (const Error& error) {
    note_failure(run, error.what());
    return Claim::failed;
  }
}

void Pool::execute(Index run) {
  std::optional<FolderLock> lock;
  Claim claimed = Claim::granted;
  if (group_.is_root()) claimed = claim(run, lock);
  claimed = group_.broadcast_value(claimed);
  if (claimed == Claim::elsewhere) {
    ++elsewhere_;
    return;
  }
  const bool good = claimed == Claim::done || (claimed == Claim::granted && attempt(run, lock.has_value()));
  if (group_.is_root() && !stopped_) queue_.finish(good, weight(run));
}

/// Whether the run came to its end.
bool Pool::attempt(Index run, bool locked) {
  const auto path = folder_.run(run).path();
  Log log(group_.is_root(), Log::To::nowhere);
  try {
    const Ended ended = study::run(group_, plan_.config(run, path),
                                   {.deck_original = options_.deck_original,
                                    .command_line = options_.command_line,
                                    .resume = !options_.force,
                                    .force = options_.force,
                                    .cache = &cache_,
                                    .locked = group_.broadcast_value(locked),
                                    .quick = quick_run},
                                   log);
    if (ended == Ended::unsettled && group_.is_root()) unsettled_.push_back(path);
    return true;
  } catch (const Interrupted&) {
    stopped_ = true;
  } catch (const Error& error) {
    if (group_.is_root()) note_failure(run, error.what());
  }
  return false;
}

void Pool::note_failure(Index run, const std::string& reason) {
  if (!log_.speaks()) return note_in_folder(run, reason);
  log_.warning("run {} ({}) failed: {}", run, plan_.describe(run), reason);
  note_in_folder(run, reason);
}

/// The disk may be what failed, so that this may fail in silence.
void Pool::note_in_folder(Index run, const std::string& reason) {
  try {
    folder_.run(run).set_status(Progression::failed, reason);
  } catch (const Error&) {
  }
}

void Pool::settle_some(bool all) {
  if (unsettled_.empty()) return;
  const double begin = now();
  if (!all && begin - settled_at_ < std::max(settle_every, share_of_time * settling_)) return;
  try {
    settle(folder_.path(), unsettled_);
  } catch (const Error& error) {
    storage_failure_ = error.what();
  }
  unsettled_.clear();
  settled_at_ = now();
  settling_ = settled_at_ - begin;
}

void Pool::collect_some() {
  if (!group_.is_root()) return;
  const double interval = std::max(collect_every, share_of_time * 0.001 * static_cast<double>(plan_.runs()));
  if (!queue_.due(static_cast<Index>(1000 * now()), static_cast<Index>(1000 * interval))) return;
  try {
    collect(folder_, plan_, options_.command_line, Wait::no);
  } catch (const Error& error) {
    // The end of the study collects once more, and says so when it cannot.
    log_.detail(error.what());
  }
}

void Pool::show() {
  if (!progress_) return;
  const auto counts = queue_.counts();
  const Index ended = counts.done + counts.failed;
  const Index running = std::min<Index>(groups_, std::ssize(order_) - ended);
  std::string note = fmt::format("{} running", running);
  if (counts.failed > 0) note += fmt::format(", {} failed", counts.failed);
  if (counts.weight > 0)
    note += fmt::format(", about {:.0f} s left",
                        now() * (whole_weight / static_cast<double>(counts.weight) - 1.0));
  progress_->update(static_cast<double>(ended), note);
}

}  // namespace dualscape::study
