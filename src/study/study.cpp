#include "dualscape/study/study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/study/collect.hpp"
#include "dualscape/study/pool.hpp"

namespace dualscape::study {
namespace {

void check_ranks(const Comm& world, const deck::Study& study) {
  if (world.size() < study.ranks_per_run)
    throw UsageError(
        fmt::format("study.ranks_per_run = {} needs that many ranks, but there {} {}: start more, "
                    "or take fewer (--set study.ranks_per_run={})",
                    study.ranks_per_run, world.size() == 1 ? "is" : "are", world.size(), study.ranks_per_run,
                    world.size()));
}

/// How the chosen runs stand in the end.
struct Tally {
  std::array<Index, 5> states{};
  std::string first_failure;

  Index count(RunState state) const { return states[static_cast<std::size_t>(state)]; }
  Index unfinished() const {
    return count(RunState::waiting) + count(RunState::running) + count(RunState::interrupted);
  }
};

Tally tally(const Plan& plan, const StudyFolder& folder, const std::vector<Index>& runs) {
  Tally tally;
  for (Index run : runs) {
    const auto standing = folder.standing(run);
    ++tally.states[static_cast<std::size_t>(standing.state)];
    if (standing.state == RunState::failed && tally.first_failure.empty())
      tally.first_failure = fmt::format("run {} ({}): {}", run, plan.describe(run), standing.reason);
  }
  return tally;
}

/// Ends a study that is not all done with the error that says so.
void require_done(const Tally& tally, const PoolReport& report, const StudyFolder& folder) {
  const Index left = tally.unfinished();
  if (report.stopped && left > 0)
    throw Interrupted(fmt::format(
        "stopped by a signal with {} run{} left to do{}; continue with --resume", left, left == 1 ? "" : "s",
        tally.count(RunState::failed) > 0 ? fmt::format(" and {} failed", tally.count(RunState::failed))
                                          : ""));
  if (report.elsewhere > 0)
    throw Interrupted(
        fmt::format("{} run{} at work in another job; what they come to is collected by dualscape "
                    "collect '{}', and --resume does what they leave",
                    report.elsewhere, report.elsewhere == 1 ? " is" : "s are", folder.path().string()));
  if (tally.count(RunState::failed) > 0)
    throw ComputationError(fmt::format("{} of the runs failed, the first is {}",
                                       tally.count(RunState::failed), tally.first_failure));
  if (left > 0)
    throw ComputationError(
        fmt::format("{} run{} could not be finished, and not even the reason be noted in '{}'", left,
                    left == 1 ? "" : "s", folder.path().string()));
}

/// Rank 0's preparations: what is to be done, in which order, and the folder locked for it.
struct Preparations {
  std::vector<Cost> costs;
  std::vector<Index> chosen;         ///< all runs meant, the longest first
  std::vector<Index> to_do;          ///< of these, the ones that are not done
  std::vector<std::string> damages;  ///< results that are not what was written
};

Preparations start(const Plan& plan, const StudyFolder& folder, const StudyOptions& options,
                   data::Cache& cache, std::optional<StudyLock>& lock) {
  Preparations start;
  const std::string resolved = deck::resolved_deck(plan.deck());
  // Parts of a study start at any time, beside each other or one after the other.
  const bool whole = options.choice.whole();
  folder.check(resolved, options.resume || !whole, options.force && whole);
  start.costs = estimate(plan, cache);
  start.chosen = choose_runs(start.costs, options.choice);
  lock.emplace(folder, whole ? StudyLock::Share::alone : StudyLock::Share::with_other_parts);
  folder.prepare(options.deck_original, resolved, options.force && whole);
  for (Index run : start.chosen) {
    const auto progression = folder.run(run).progression();
    if (!whole && !options.resume && !options.force && progression != Progression::absent)
      throw UsageError(fmt::format(
          "'{}' holds a run: add --resume to keep it and do only what is missing, or --force to start "
          "the chosen runs anew",
          folder.run(run).path().string()));
    bool to_do = options.force || progression != Progression::done;
    if (!to_do)
      if (const auto damage = folder.run(run).damage_of_result()) {
        start.damages.push_back(*damage);
        to_do = true;
      }
    if (to_do) start.to_do.push_back(run);
  }
  return start;
}

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

/// Operations a second of the products a run is made of, on this core: a batch times a layer.
double measured_rate() {
  using Clock = std::chrono::steady_clock;
  const Matrix<double> a(100, 400), b(400, 60);
  Matrix<double> c(100, 60);
  double best = 0;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const auto begin = Clock::now();
    gemm<double>(Op::none, Op::none, 1.0, a.view(), b.view(), 0.0, c.view());
    best = std::max(best, 2.0 * 100 * 400 * 60 / std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

}  // namespace

void run_study(const Comm& world, const Plan& plan, const StudyFolder& folder, const StudyOptions& options,
               Log& log) {
  check_ranks(world, plan.study());
  data::Cache cache;
  Preparations begun;
  std::optional<StudyLock> lock;
  on_root(world, [&] {
    begun = start(plan, folder, options, cache, lock);
    log.open_file(folder.log());
    for (const std::string& damage : begun.damages) log.warning("{}; the run is done anew", damage);
  });
  std::vector<double> costs;
  for (const Cost& cost : begun.costs) costs.push_back(cost.flops);
  world.broadcast(costs);
  world.broadcast(begun.to_do);
  const int groups = world.size() / plan.study().ranks_per_run;
  log.info("study of {} runs at {} points in {}: {} to do, {} at a time on {} rank{} each", plan.runs(),
           plan.points().size(), folder.path().string(), begun.to_do.size(), groups,
           plan.study().ranks_per_run, plan.study().ranks_per_run == 1 ? "" : "s");
  if (lock && !lock->holds())
    log.warning("'{}' is on a file system without locks: make sure that nobody else works on this study",
                folder.path().string());
  if (const int idle = world.size() % plan.study().ranks_per_run; idle > 0)
    log.warning("{} of {} ranks stay idle: study.ranks_per_run = {} does not divide their number", idle,
                world.size(), plan.study().ranks_per_run);
  const PoolReport report = Pool(world, plan, folder, options, begun.to_do, costs, cache, log).work();
  on_root(world, [&] {
    collect(folder, plan, options.command_line, Wait::yes);
    const Tally result = tally(plan, folder, begun.chosen);
    log.info(
        "{} of {} runs done, {} failed, {} left; {:.2f} s; every rank at work {:.1f} % of the time while "
        "runs "
        "waited",
        result.count(RunState::done), begun.chosen.size(), result.count(RunState::failed),
        result.unfinished(), report.seconds, 100 * report.least_busy);
    log.info("{} written", folder.collected().string());
    require_done(result, report, folder);
  });
}

std::string list_text(const Plan& plan, const StudyFolder& folder, const Choice& choice) {
  std::vector<Cost> same(static_cast<std::size_t>(plan.runs()));
  std::string text;
  for (Index run : choose_runs(same, choice)) {
    const auto standing = folder.standing(run);
    text += fmt::format("{:>6}  {:<11}  seed {:<16}  {}{}\n", run, name_of(standing.state), plan.seed_of(run),
                        plan.describe(run), standing.reason.empty() ? "" : ": " + standing.reason);
  }
  return text;
}

std::string forecast_text(const Plan& plan, const Choice& choice, int ranks) {
  data::Cache cache;
  const auto costs = estimate(plan, cache);
  const auto chosen = choose_runs(costs, choice);
  const int per_run = plan.study().ranks_per_run;
  const int groups = std::max(1, ranks / per_run);
  const double rate = measured_rate();
  double bytes = 0;
  for (Index run : chosen) bytes = std::max(bytes, costs[static_cast<std::size_t>(run)].bytes);
  const auto amount = [&](double Cost::*flops) {
    double sum = 0, longest = 0;
    for (Index run : chosen) {
      const double own = costs[static_cast<std::size_t>(run)].*flops;
      sum += own;
      longest = std::max(longest, own);
    }
    return fmt::format("{:.3g} operations, {:.3g} in the longest run: {} in all", sum, longest,
                       duration(std::max(longest, sum / groups) / (rate * per_run)));
  };
  return fmt::format(
      "{} runs: {} points, {} repeats each\n"
      "{} rank{} a run, {} run{} at a time\n"
      "about {} at {:.1f} Gflop/s a rank\n"
      "at most {}, where training comes to training.max_epochs\n"
      "about {:.1f} MiB of memory a run\n",
      chosen.size(), plan.points().size(), plan.study().repeats, per_run, per_run == 1 ? "" : "s", groups,
      groups == 1 ? "" : "s", amount(&Cost::flops), rate / 1e9, amount(&Cost::most_flops), bytes / (1 << 20));
}

}  // namespace dualscape::study
