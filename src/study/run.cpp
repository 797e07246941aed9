#include "dualscape/study/run.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "chain.hpp"
#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/study/analysis.hpp"
#include "dualscape/study/cost.hpp"
#include "dualscape/study/curvature_summary.hpp"
#include "dualscape/study/plan.hpp"
#include "dualscape/study/run_folder.hpp"

namespace dualscape::study {
namespace {

Start prepare(const Comm& comm, const deck::Config& config, data::Cache* cache) {
  const data::Options options = data_options(config);
  data::Dataset data = cache ? data::load(comm, options, *cache) : data::load(comm, options);
  check_labels(data, config);
  nn::Network network = make_network(config.network, data);
  check_spectrum(network, config);
  require_room(comm, network, config);
  check_summary(network, data, config);
  auto parameters = config.network.weights.empty()
                        ? network.initial_parameters(config.seed, config.network.init_scale)
                        : load_weights(comm, network, config.network.weights);
  return {std::move(data), std::move(network), std::move(parameters)};
}

std::string describe(const data::Dataset& data) {
  return fmt::format("data: {}; {} training and {} test samples of {} features in {} classes are used",
                     data.description, data.train.count(), data.test.count(), data.features,
                     data.classes.size());
}

/// Notes how a run failed in its folder; the disk may be what failed, so that this may fail in silence.
void note_failure(const Comm& comm, const RunFolder& folder, Progression progression,
                  const std::string& message) {
  if (!comm.is_root()) return;
  try {
    folder.set_status(progression, message);
  } catch (const Error&) {
  }
}

}  // namespace

Ended run(const Comm& comm, const deck::Config& config, const RunOptions& options, Log& log) {
  if (config.output.directory.empty())
    throw UsageError(
        "there is no folder for the results: set output.directory in the deck, or give --output");
  set_blas_threads(config.numerics.threads);
  const RunFolder folder(config.output.directory);
  const std::string resolved = deck::resolved_deck(config);
  bool finished = false;
  std::optional<std::string> damage;
  on_root(comm, [&] {
    folder.check(resolved, options.resume, options.force);
    finished = options.resume && folder.progression() == Progression::done;
    if (finished) damage = folder.damage_of_result();
    finished = finished && !damage;
    if (finished) folder.remove_checkpoints();
    if (damage) log.warning("{}; the run is done anew", *damage);
  });
  if (comm.broadcast_value(finished)) {
    log.info("nothing to do: '{}' holds the finished result", folder.path().string());
    return Ended::settled;
  }
  const std::string title = fmt::format("{} on {} rank{}, in {}", config.title.empty() ? "run" : config.title,
                                        comm.size(), comm.size() == 1 ? "" : "s", folder.path().string());
  log.info("{}", title);
  Start start = prepare(comm, config, options.cache);
  log.info("{}", describe(start.data));
  std::optional<FolderLock> lock;
  on_root(comm, [&] {
    if (!options.locked) lock.emplace(folder.lock());
    const auto durability = options.quick > 0 ? Durability::buffered : Durability::flushed;
    folder.prepare(options.deck_original, resolved, options.force, durability);
    log.open_file(folder.log());
    folder.set_status(Progression::running, "", durability);
  });
  log.detail(title);
  if (damage) log.detail(fmt::format("{}; the run is done anew", *damage));
  log.detail(describe(start.data));
  try {
    const Ended ended = run_stages(comm, config, options, folder, log, std::move(start), resolved);
    if (ended == Ended::unsettled) return ended;
    on_root(comm, [&] {
      folder.set_status(Progression::done, "");
      folder.remove_checkpoints();
    });
    return ended;
  } catch (const Interrupted& stopped) {
    note_failure(comm, folder, Progression::interrupted, stopped.what());
    throw Interrupted(fmt::format("{}; continue with --resume", stopped.what()));
  } catch (const Error& error) {
    note_failure(comm, folder, Progression::failed, error.what());
    throw;
  }
}

void settle(const std::filesystem::path& above, std::span<const std::filesystem::path> folders) {
  if (folders.empty()) return;
  const int folder = ::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int error = folder >= 0 && ::syncfs(folder) == 0 ? 0 : errno;
  if (folder >= 0) ::close(folder);
  if (error != 0)
    throw ComputationError(fmt::format("cannot write to '{}': {}", above.string(), std::strerror(error)));
  for (const auto& path : folders) {
    const RunFolder run(path);
    run.set_status(Progression::done, "", Durability::buffered);
    run.remove_checkpoints();
  }
}

std::string plan_of_deck(const Comm& comm, const deck::Config& config, const std::vector<int>& ranks) {
  if (!config.spectrum) throw UsageError("the deck has no [spectrum], whose cost could be planned");
  const data::Dataset data = data::load(comm, data_options(config));
  const nn::Network network = make_network(config.network, data);
  check_spectrum(network, config);
  return plan_text(network, data, config, ranks);
}

}  // namespace dualscape::study
