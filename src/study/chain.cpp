#include "chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "dualscape/base/clock.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/progress.hpp"
#include "dualscape/base/signals.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/study/analysis.hpp"
#include "dualscape/study/duality_group.hpp"
#include "dualscape/study/pass_state.hpp"
#include "dualscape/study/plan.hpp"
#include "dualscape/study/result.hpp"
#include "dualscape/train/trainer.hpp"
#include "epoch_end.hpp"
#include "mark.hpp"
#include "pace.hpp"
#include "summary_state.hpp"

namespace dualscape::study {
namespace {

/// In a run that may be quick, the outcome of a stage that took less is written only when the run ends early.
constexpr double worth_keeping = 1.0;

class Chain {
 public:
  Chain(const Comm& comm, const deck::Config& config, const RunOptions& options, const RunFolder& folder,
        Log& log)
      : comm_(comm), config_(config), options_(options), folder_(folder), log_(log) {}

  Ended run(Start start, const std::string& deck_resolved) {
    // What is written when the run ends early is still of these.
    Result result;
    try {
      return stages(start, result, deck_resolved);
    } catch (const Error&) {
      keep_stages();
      throw;
    }
  }

 private:
  Ended stages(Start& start, Result& result, const std::string& deck_resolved) {
    const data::Dataset& data = start.data;
    const nn::Network& network = start.network;
    stop_point(comm_, "after reading the data");

    result.parameters = std::move(start.parameters);
    if (config_.training) during("the training", [&] { train(network, data, result); });
    stop_point(comm_, "after the training");
    during("the evaluation", [&] { measure(network, data, result); });
    const Mark mark([this, &data, &result] {
      return fingerprint(comm_, data, config_, hash_of(result.parameters), false);
    });
    if (config_.spectrum)
      during("the search for eigenpairs",
             [&] { result.spectrum = find(network, data, result.parameters, mark); });
    if (wants_summary(config_))
      during("the summary of the curvature",
             [&] { result.summary = summarise(network, data, result, mark); });
    stop_point(comm_, "after the spectrum");
    if (config_.duality) during("the decomposition", [&] { decompose(network, data, result, mark); });
    stop_point(comm_, "before the result was written");

    const double seconds = comm_.broadcast_value(seconds_since(began_));
    const bool quick = seconds < options_.quick;
    write_result(comm_, folder_.result(), network, data, result,
                 {config_, options_.deck_original, deck_resolved, options_.command_line, seconds},
                 quick ? Durability::buffered : Durability::flushed);
    log_.info("{} written, {:.2f} s in all", folder_.result().string(), seconds_since(began_));
    if (result.spectrum && result.spectrum->doubtful)
      throw ComputationError(
          fmt::format("{}; the eigenpairs are in '{}'", result.spectrum->reason, folder_.result().string()));
    if (result.spectrum && !result.spectrum->as_asked())
      throw ComputationError(fmt::format(
          "only {} of {} eigenpairs converged to spectrum.tolerance = {:g} ({}); what was found is in '{}'",
          result.spectrum->converged(), result.spectrum->requested, config_.spectrum->tolerance,
          result.spectrum->reason, folder_.result().string()));
    require_complete(result.summary);
    return quick ? Ended::unsettled : Ended::settled;
  }

  /// Writes the checkpoints that were put off. A full disk may be why the run ends, so that this may fail.
  void keep_stages() {
    try {
      for (const auto& keep : not_kept_) keep();
      if (keep_summary_) keep_summary_();
      if (keep_pass_) keep_pass_();
    } catch (const Error& error) {
      log_.detail(error.what());
    }
  }

  /// Runs one stage, which a signal may end anywhere.
  template <class Stage>
  void during(const std::string& name, Stage&& stage) {
    try {
      stage();
    } catch (const Interrupted& stopped) {
      const std::string_view said = stopped.what();
      if (said != "stopped by a signal") throw;
      throw Interrupted("stopped by a signal during " + name);
    }
  }

  /// Whether there is a checkpoint to go on from. @note Collective
  bool usable(const std::filesystem::path& file, const Mark& mark) {
    return usable_checkpoint(
        comm_, file, [&] { return mark.text(); },
        [&](const std::string& damage) { log_.warning("{}", damage); });
  }

  void train(const nn::Network& network, const data::Dataset& data, Result& result) {
    train::State state = config_.numerics.precision == Precision::single
                             ? trained<float>(network, data, std::move(result.parameters))
                             : trained<double>(network, data, std::move(result.parameters));
    result.parameters = std::move(state.parameters);
    result.history = std::move(state.history);
  }

  template <class Real>
  train::State trained(const nn::Network& network, const data::Dataset& data, std::vector<double> initial) {
    train::Trainer<Real> trainer(comm_, network, data.train, data.test,
                                 {.training = *config_.training,
                                  .seed = config_.seed,
                                  .scale = config_.data.scale,
                                  .lanes = config_.numerics.lanes});
    train::State state;
    const Mark mark([this, &data, weights = hash_of(initial)] {
      return fingerprint(comm_, data, config_, weights, true);
    });
    if (usable(folder_.training_checkpoint(), mark)) {
      state = read_training(comm_, folder_.training_checkpoint(), network);
      log_.info("training: resumed after epoch {}", state.epoch);
    } else {
      state = trainer.start(std::move(initial));
    }
    if (state.stop == train::Stop::running) continue_training(trainer, network, state, mark);
    log_.info("training: {} epochs, {}", state.epoch,
              state.stop == train::Stop::criterion
                  ? "stopping rule met"
                  : "training.max_epochs reached before the stopping rule was met");
    return state;
  }

  template <class Real>
  void continue_training(train::Trainer<Real>& trainer, const nn::Network& network, train::State& state,
                         const Mark& mark) {
    Progress progress(log_, "training", "epochs", static_cast<double>(config_.training->max_epochs));
    const auto began = Clock::now();
    Pace pace(comm_, config_.numerics.checkpoint_seconds);
    EpochEnd last(state);
    enum { go_on, save, stop };
    const auto after_epoch = [&](const train::State& now) {
      last = EpochEnd(now);
      progress.update(
          static_cast<double>(now.epoch),
          fmt::format("loss {:.3e}, test {:.3e}", now.history.loss.back(), now.history.test_loss.back()));
      const int next = comm_.max(stop_requested() ? int{stop} : pace.due_here() ? int{save} : int{go_on});
      if (next == stop) return false;
      if (next == save) {
        write_training(comm_, folder_.training_checkpoint(), network, now, mark.text());
        pace.written();
      }
      return true;
    };
    try {
      trainer.run(state, after_epoch);
    } catch (const Interrupted&) {
      last.restore(state);
    }
    const bool stopped = state.stop == train::Stop::running;
    if (stopped || took_long(seconds_since(began)))
      write_training(comm_, folder_.training_checkpoint(), network, state, mark.text());
    else
      not_kept_.emplace_back([this, &network, state, mark] {
        write_training(comm_, folder_.training_checkpoint(), network, state, mark.text());
      });
    if (stopped)
      throw Interrupted(fmt::format("stopped by a signal during the training, after epoch {}", state.epoch));
  }

  /// Whether the outcome of a stage is written at once. @note Collective
  bool took_long(double seconds) const {
    return options_.quick == 0 || comm_.broadcast_value(seconds) >= worth_keeping;
  }

  void measure(const nn::Network& network, const data::Dataset& data, Result& result) {
    result.losses = measure_losses(comm_, network, result.parameters, data, config_);
    const auto& [train, test] = result.losses;
    log_.info("training loss {:.6g}, test loss {:.6g}, gap {:.6g}; accuracy {:.4f} and {:.4f}", train.loss,
              test.loss, result.losses.gap(), train.accuracy, test.accuracy);
    if (!std::isfinite(train.loss) || !std::isfinite(test.loss))
      throw ComputationError(
          fmt::format("the training loss is {} and the test loss {} at the weights to be analysed, which are "
                      "too large",
                      train.loss, test.loss));
  }

  spectrum::Spectrum find(const nn::Network& network, const data::Dataset& data,
                          const std::vector<double>& parameters, const Mark& mark) {
    const std::string block = operators::block_name(config_.spectrum->block);
    spectrum::Spectrum found;
    if (usable(folder_.spectrum_checkpoint(), mark)) {
      found = read_spectrum(comm_, folder_.spectrum_checkpoint(), block);
      log_.info("spectrum: read from its checkpoint");
    } else {
      found = find_spectrum(comm_, network, parameters, data, config_, log_, continuation(network, mark));
      // Too few pairs: to resume, with other options perhaps, is to try again.
      if (found.as_asked()) keep_spectrum(block, found, mark);
      on_root(comm_, [&] { folder_.remove_solve_checkpoint(); });
    }
    log_.info("spectrum of {}: {} of {} eigenpairs, {} products, {:.2f} s; |H| about {:.6g}", block,
              found.converged(), found.requested, found.matvecs, found.seconds, found.norm_estimate);
    if (found.pruning)
      log_.info("spectrum: {} products with the remaining samples beside these", found.pruning->matvecs);
    warn_of_residuals(found);
    return found;
  }

  void keep_spectrum(const std::string& block, const spectrum::Spectrum& found, const Mark& mark) {
    const auto write = [this, block, mark](const spectrum::Spectrum& whole) {
      write_spectrum(comm_, folder_.spectrum_checkpoint(), block, whole, mark.text());
    };
    if (took_long(found.seconds))
      write(found);
    else
      not_kept_.emplace_back([write, found] { write(found); });
  }

  /// Goes on from the state of a solve in the folder, and leaves such states there.
  Continuation continuation(const nn::Network& network, const Mark& mark) {
    Continuation continuation;
    if (config_.spectrum->which == Which::all) return continuation;
    if (usable(folder_.solve_checkpoint(), mark)) {
      continuation.from = read_solve(comm_, network, config_, folder_.solve_checkpoint());
      const petsc::EigenState& state = continuation.from.point.state;
      log_.info("spectrum: resumed after {} products, {} pairs found",
                continuation.from.point.stage.matvecs + state.products,
                state.upper.size() + state.lowest.size());
    }
    continuation.on_restart = [this, mark, pace = Pace(comm_, config_.numerics.checkpoint_seconds)](
                                  const Partition& partition, const spectrum::Stage& stage,
                                  const petsc::EigenState& state, bool stopping) mutable {
      if (!stopping && !pace.due()) return;
      write_solve(comm_, folder_.solve_checkpoint(), partition, stage, state, mark.text());
      pace.written();
    };
    return continuation;
  }

  /// The solver goes by residuals that it updates; those of fresh products may be larger.
  void warn_of_residuals(const spectrum::Spectrum& found) {
    if (found.residuals.empty() || found.reason == "dense") return;
    const double worst = std::ranges::max(found.residuals) / found.norm_estimate;
    if (worst > config_.spectrum->tolerance)
      log_.warning("the largest residual is {:.1e} |H|, above spectrum.tolerance = {:g}", worst,
                   config_.spectrum->tolerance);
  }

  CurvatureSummary summarise(const nn::Network& network, const data::Dataset& data, const Result& result,
                             const Mark& mark) {
    const spectrum::Spectrum& pairs = *result.spectrum;
    const std::string block = operators::block_name(config_.spectrum->block);
    const auto path = folder_.summary_checkpoint();
    SummaryStore store;
    if (usable(path, mark)) {
      auto found = read_summary(comm_, path, block, pairs);
      log_.info("summary of the curvature: {}",
                found ? "resumed from its checkpoint"
                      : "its checkpoint is of a spectrum solved earlier; it is done anew");
      if (found) store.from = std::move(*found);
    }
    store.keep = [&, mark, began = Clock::now()](const CurvatureSummary& so_far) mutable {
      if (took_long(seconds_since(began))) {
        write_summary(comm_, path, block, pairs.values, so_far, mark.text());
        keep_summary_ = nullptr;
      } else {
        keep_summary_ = [this, path, block, values = pairs.values, so_far, mark] {
          write_summary(comm_, path, block, values, so_far, mark.text());
        };
      }
      stop_point(comm_, "during the summary of the curvature");
      began = Clock::now();
    };
    return summarise_curvature(comm_, network, result.parameters, pairs, data, config_, log_,
                               std::move(store));
  }

  void decompose(const nn::Network& network, const data::Dataset& data, Result& result,
                 const Mark& analysed) {
    const auto start = Clock::now();
    result.dualities = decompose_gap(
        comm_, network, result.parameters, data, config_, *result.spectrum, log_,
        layer_store({config_, result.losses, result.spectrum->values, result.spectrum->complete()},
                    Mark([this, &data, analysed] {
                      return analysed.text() + fingerprint_of_test(comm_, data, config_);
                    })));
    for (const LayerDuality& layer : result.dualities) {
      const auto& d = layer.decomposition;
      log_.info("duality at {}: matched gap {:.6g} = {:.6g} over the directions + {:.6g} + {:.2g} unresolved",
                layer.layer, d.matched_gap, d.total.whole, d.complement.whole, d.unresolved);
    }
    log_.info("duality: {:.2f} s", seconds_since(start));
  }

  /// A checkpoint for each finished layer.
  LayerStore layer_store(const DualitySetting& setting, const Mark& mark) {
    LayerStore store;
    store.find = [this, setting, mark](const std::string& layer) -> std::optional<LayerDuality> {
      const auto path = folder_.duality_checkpoint(layer);
      if (!usable(path, mark)) return std::nullopt;
      auto found = read_duality(comm_, path, setting, layer);
      if (found)
        log_.info("duality at {}: read from its checkpoint", layer);
      else
        log_.info("duality at {}: its checkpoint is of a spectrum solved earlier; it is done anew", layer);
      return found;
    };
    const auto write = [this, setting, mark](const LayerDuality& layer) {
      write_duality(comm_, folder_.duality_checkpoint(layer.layer), setting, layer, mark.text());
    };
    store.pass = [this, setting, mark](const std::string& layer, const Lanes& pairs) {
      return start_pass({layer, setting.eigenvalues, pairs}, mark);
    };
    store.keep = [this, write, began = Clock::now()](const LayerDuality& layer) mutable {
      keep_pass_ = nullptr;
      pass_ = {};
      if (took_long(seconds_since(began)))
        write(layer);
      else
        not_kept_.emplace_back([write, layer] { write(layer); });
      on_root(comm_, [&] { folder_.remove_pass_checkpoint(); });
      stop_point(comm_, fmt::format("during the decomposition, after {}", layer.layer));
      began = Clock::now();
    };
    return store;
  }

  /// The pass over a layer's pairs, from its state in the folder, where it leaves such states.
  duality::Pass* start_pass(const PassOf& of, const Mark& mark) {
    const auto path = folder_.pass_checkpoint();
    pass_ = {};
    if (usable(path, mark)) {
      if (read_pass(comm_, path, of, pass_))
        log_.info("duality at {}: resumed after {} of {} directions and {} blocks of pairs", of.layer,
                  pass_.directions(), of.eigenvalues.size(), pass_.blocks);
      else
        log_.info("duality at {}: the pass kept is of a spectrum solved earlier; it is done anew", of.layer);
    }
    const auto write = [this, path, of, mark] { write_pass(comm_, path, of, pass_, mark.text()); };
    pass_.after_block = [this, write, pace = Pace(comm_, config_.numerics.checkpoint_seconds)]() mutable {
      if (!keep_pass_) keep_pass_ = write;
      if (!pace.due()) return;
      // What it goes on from comes first.
      for (const auto& keep : std::exchange(not_kept_, {})) keep();
      write();
      pace.written();
    };
    return &pass_;
  }

  const Comm& comm_;
  const deck::Config& config_;
  const RunOptions& options_;
  const RunFolder& folder_;
  Log& log_;
  const Clock::time_point began_ = Clock::now();
  std::vector<std::function<void()>> not_kept_;  ///< write the checkpoints of the stages that were quick
  std::function<void()> keep_summary_;           ///< writes the summary's, as far as it has come
  duality::Pass pass_;                           ///< over the pairs of the layer under way
  std::function<void()> keep_pass_;              ///< writes where it stands
};

}  // namespace

Ended run_stages(const Comm& comm, const deck::Config& config, const RunOptions& options,
                 const RunFolder& folder, Log& log, Start start, const std::string& deck_resolved) {
  return Chain(comm, config, options, folder, log).run(std::move(start), deck_resolved);
}

}  // namespace dualscape::study
