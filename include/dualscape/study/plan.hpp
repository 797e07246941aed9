#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"

/// A study as a list of runs: a function of its deck alone.
namespace dualscape::study {

/// What a run will take; good for comparing runs, and as a rough forecast.
struct Cost {
  double flops = 0;       ///< training to about where its stopping rule holds, spectrum and duality
  double most_flops = 0;  ///< the same with training to its last epoch
  double bytes = 0;       ///< of the ranks of the run together
  bool operator==(const Cost&) const = default;
};

/// Epochs after which a training is expected to meet its stopping rule, at most training.max_epochs. The
/// cross-entropy of a network that fits its samples falls as 1 / (rate x steps) (Soudry et al., J. Mach.
/// Learn. Res. 19, 2018), so that stop_loss takes about 1 / (rate stop_loss) steps, whatever the size of the
/// batches; momentum m makes the rate 1 / (1 - m) times as large. For other losses and labels that are hard
/// to fit this only tells the longer run from the shorter one.
double expected_epochs(const deck::Training& training, Index samples);

/// Costs of a run on samples of these numbers.
Cost estimate(const deck::Config& config, const data::Sizes& sizes);

/// The seed of a repeat: the deck's own for repeat 0, then 53 random bits of it. All points share the seeds
/// of their repeats, so that repeat r of every point starts from the same samples and initial weights (as far
/// as the point's keys let it): a difference between points is then a mean over paired runs, with the
/// variance that the seed causes in both cancelled as far as they are alike.
std::uint64_t repeat_seed(std::uint64_t deck_seed, Index repeat);

/// One point of the axes: the values in the order of the axes, and the deck there, without its study.
struct Point {
  std::vector<deck::AxisValue> values;
  deck::Config config;
};

class Plan {
 public:
  /// Reads a deck with a table [study] and lists its points: of a grid, the last axis varies fastest. Throws
  /// DeckError, UsageError when the deck is wrong at any point. Communicates nothing.
  Plan(const std::string& text, const std::string& name, const std::vector<std::string>& overrides);

  const deck::Config& deck() const { return deck_; }
  const deck::Study& study() const { return *deck_.study; }
  const std::vector<Point>& points() const { return points_; }

  /// Number of runs: points times repeats. Run i is repeat i % repeats of point i / repeats.
  Index runs() const { return std::ssize(points_) * study().repeats; }
  Index point_of(Index run) const { return run / study().repeats; }
  Index repeat_of(Index run) const { return run % study().repeats; }
  const Point& point(Index run) const { return points_[static_cast<std::size_t>(point_of(run))]; }
  std::uint64_t seed_of(Index run) const;
  /// The whole deck of a run, its results in `directory`.
  deck::Config config(Index run, const std::filesystem::path& directory) const;
  /// "training.batch_size = 25, repeat 3".
  std::string describe(Index run) const;

 private:
  deck::Config deck_;
  std::vector<Point> points_;
};

/// The cost of each run. Opens the data of every point: throws DataError when they cannot be used. Not
/// collective.
std::vector<Cost> estimate(const Plan& plan, data::Cache& cache);

/// The table [data] of a deck as what is to be loaded.
data::Options data_options(const deck::Config& config);

/// Which runs of a study are meant. Each is a constraint; together they are all to hold.
struct Choice {
  std::string only;  ///< "3,7-9"; empty: all
  std::string part;  ///< "2/4": the second of four parts of about equal cost; empty: the whole

  bool whole() const { return only.empty() && part.empty(); }
};

/// The runs of a choice, the longest first, equal ones by their number. Throws UsageError when the choice
/// cannot be read or names a run that does not exist.
std::vector<Index> choose_runs(std::span<const Cost> costs, const Choice& choice);

}  // namespace dualscape::study
