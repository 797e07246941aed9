#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "dualscape/base/log.hpp"
#include "dualscape/base/progress.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/study/queue.hpp"
#include "dualscape/study/study.hpp"

namespace dualscape::study {

/// What a pool has to say of its work; on rank 0 of the world.
struct PoolReport {
  bool stopped = false;     ///< by a signal
  Index elsewhere = 0;      ///< runs another job had in hand
  double least_busy = 1.0;  ///< smallest share of the time until the queue was empty that a group worked
  double seconds = 0.0;
  std::string storage_failure;  ///< why finished runs could not be settled; empty: they could
};

/// Groups of ranks that work off a list of runs.
class Pool {
 public:
  /// `order`: the runs, in the order in which they are taken; `costs`: of all runs of the plan. Both on every
  /// rank. @note Collective
  Pool(const Comm& world, const Plan& plan, const StudyFolder& folder, const StudyOptions& options,
       std::vector<Index> order, std::span<const double> costs, data::Cache& cache, Log& log);
  ~Pool();

  /// Returns when all runs are done or the work was stopped. @note Collective
  PoolReport work();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Claim { granted, done, elsewhere, failed };

  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool works() const { return group_number_ < groups_; }
  Claim claim(Index run, std::optional<FolderLock>& lock);
  void execute(Index run);
  bool attempt(Index run, bool locked);
  void note_failure(Index run, const std::string& reason);
  void note_in_folder(Index run, const std::string& reason);
  void settle_some(bool all);
  void collect_some();
  void show();
  Index weight(Index run) const;

  const Comm& world_;
  const Plan& plan_;
  const StudyFolder& folder_;
  const StudyOptions& options_;
  std::vector<Index> order_;
  std::span<const double> costs_;
  data::Cache& cache_;
  Log& log_;

  int groups_;
  int group_number_;
  Comm group_;
  Queue queue_;
  double whole_cost_ = 0;
  Clock::time_point start_;
  std::optional<Progress> progress_;
  bool stopped_ = false;
  Index elsewhere_ = 0;
  double idle_ = 0;
  double settled_at_ = 0;
  double settling_ = 0;
  std::vector<std::filesystem::path> unsettled_;
  std::string storage_failure_;
};

}  // namespace dualscape::study
