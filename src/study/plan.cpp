#include "dualscape/study/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/deck/reader.hpp"

namespace dualscape::study {
namespace {

/// Values of a point's axes by the position of the point.
std::vector<deck::AxisValue> values_at(const deck::Study& study, Index position) {
  std::vector<deck::AxisValue> values(study.axes.size());
  for (std::size_t a = study.axes.size(); a-- > 0;) {
    const auto& all = study.axes[a].values;
    const Index length = std::ssize(all);
    const Index at = study.mode == StudyMode::zip ? position : position % length;
    if (study.mode == StudyMode::grid) position /= length;
    values[a] = all[static_cast<std::size_t>(at)];
  }
  return values;
}

/// A study of more runs than this is a slip in the deck.
constexpr Index most_runs = 1'000'000;

Index count_points(const deck::Study& study) {
  if (study.axes.empty()) return 1;
  if (study.mode == StudyMode::zip) return std::ssize(study.axes.front().values);
  Index count = 1;
  for (const deck::Axis& axis : study.axes) count = std::min(most_runs, count) * std::ssize(axis.values);
  return count;
}

std::optional<Index> parse_index(std::string_view text) {
  Index value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// "a<separator>b" as two numbers.
std::optional<std::pair<Index, Index>> parse_two(std::string_view text, char separator) {
  const auto at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const auto first = parse_index(text.substr(0, at));
  const auto second = parse_index(text.substr(at + 1));
  if (!first || !second) return std::nullopt;
  return std::pair(*first, *second);
}

std::vector<bool> parse_only(const std::string& only, Index runs) {
  std::vector<bool> wanted(static_cast<std::size_t>(runs));
  const auto bad = [&](const std::string& why) { throw UsageError(fmt::format("--only {}: {}", only, why)); };
  for (std::size_t at = 0; at <= only.size();) {
    const auto end = std::min(only.find(',', at), only.size());
    const std::string_view item = std::string_view(only).substr(at, end - at);
    at = end + 1;
    const auto one = parse_index(item);
    const auto range = one ? std::optional(std::pair(*one, *one)) : parse_two(item, '-');
    if (!range || range->first > range->second)
      bad(fmt::format("'{}' is neither a run nor a range of runs; expected something like 3,7-9", item));
    if (range->second >= runs)
      bad(fmt::format("there is no run {}; the study has {} runs, from 0", range->second, runs));
    std::fill(wanted.begin() + range->first, wanted.begin() + range->second + 1, true);
  }
  return wanted;
}

/// Keeps part i of n: dealt out to and fro, so that the parts cost about the same.
void keep_part(std::vector<Index>& order, const std::string& part) {
  const auto numbers = parse_two(part, '/');
  if (!numbers || numbers->first < 1 || numbers->first > numbers->second)
    throw UsageError(fmt::format("--part {}: expected i/n with i from 1 to n, for instance 2/4", part));
  const auto [own, parts] = *numbers;
  std::vector<Index> kept;
  for (Index k = 0; k < std::ssize(order); ++k) {
    const Index round = k / parts, seat = k % parts;
    if ((round % 2 == 0 ? seat : parts - 1 - seat) == own - 1)
      kept.push_back(order[static_cast<std::size_t>(k)]);
  }
  order = std::move(kept);
}

double weights_of(const deck::Config& config, Index features, double& first) {
  double weights = 0;
  Index in = features;
  for (const deck::Layer& layer : config.network.layers) {
    weights += static_cast<double>(in * layer.units);
    if (first == 0) first = weights;
    in = layer.units;
  }
  return weights;
}

/// Data, spectrum and duality of a run.
Cost analysis_cost(const deck::Config& config, const data::Sizes& sizes, double weights) {
  const auto train = static_cast<double>(sizes.train), test = static_cast<double>(sizes.test);
  const auto features = static_cast<double>(sizes.features);
  double widths = features;
  for (const deck::Layer& layer : config.network.layers) widths += static_cast<double>(layer.units);
  Cost cost{.bytes = (train + test) * features * 9};
  if (!config.spectrum) return cost;
  double block = 0;
  Index in = sizes.features;
  for (const deck::Layer& layer : config.network.layers) {
    if (config.spectrum->block == std::vector<std::string>{"all"} ||
        deck::covers(config.spectrum->block, layer.name))
      block += static_cast<double>(in * layer.units);
    in = layer.units;
  }
  const bool all = config.spectrum->which == Which::all;
  const double pairs = all ? block : std::min(block, static_cast<double>(config.spectrum->count));
  const double products = all ? 0 : 3 * pairs + 20;
  cost.flops += products * (12 * train * weights + 8 * block * pairs);
  if (all) cost.flops += 2 * train * block * std::sqrt(block) + 9 * block * block * block;
  cost.bytes += train * widths * 3 * 8 + (all ? 3 * block * block : 3 * pairs * block) * 8;
  if (config.duality) {
    const double anchors = config.duality->anchor == Anchor::test ? test : train;
    const double duals = anchors * static_cast<double>(config.duality->neighbours);
    cost.flops += 2 * train * test * features / static_cast<double>(std::max<Index>(1, sizes.classes)) +
                  2 * duals * pairs * block;
    cost.bytes += duals * pairs * 8;
  }
  return cost;
}

}  // namespace

double expected_epochs(const deck::Training& training, Index samples) {
  const auto most = static_cast<double>(training.max_epochs);
  const double rate = training.learning_rate / (1 - training.momentum);
  const double steps = 1 / (rate * training.stop_loss);
  const double per_epoch = std::ceil(static_cast<double>(samples) / static_cast<double>(training.batch_size));
  return std::min(most, std::ceil(steps / std::max(1.0, per_epoch)));
}

Cost estimate(const deck::Config& config, const data::Sizes& sizes) {
  double first = 0;
  const double weights = weights_of(config, sizes.features, first);
  Cost cost = analysis_cost(config, sizes, weights);
  cost.most_flops = cost.flops;
  if (!config.training) return cost;
  // Multiply-adds are 2 operations: forward and the two adjoints but the first layer's, then both
  // evaluations.
  const auto train = static_cast<double>(sizes.train), test = static_cast<double>(sizes.test);
  const double epoch = train * (6 * weights - 2 * first) + (train + test) * 2 * weights;
  cost.flops += expected_epochs(*config.training, sizes.train) * epoch;
  cost.most_flops += static_cast<double>(config.training->max_epochs) * epoch;
  return cost;
}

std::uint64_t repeat_seed(std::uint64_t deck_seed, Index repeat) {
  if (repeat == 0) return deck_seed;
  return Random(deck_seed, Stream::repeat).bits(static_cast<std::uint64_t>(repeat)) >> 11;
}

Plan::Plan(const std::string& text, const std::string& name, const std::vector<std::string>& overrides) {
  const deck::PointReader reader(text, name, overrides);
  deck_ = reader.base();
  const Index count = count_points(study());
  if (count > most_runs / study().repeats)
    throw UsageError(fmt::format("{}: the study has more than {} runs", name, most_runs));
  for (const deck::Axis& axis : study().axes)
    if (axis.key == "output.directory")
      throw UsageError(fmt::format(
          "{}: study.axes: 'output.directory' cannot vary: each run has a folder of its own", name));
  for (Index position = 0; position < count; ++position) {
    auto values = values_at(study(), position);
    auto config = reader.at(values);
    points_.push_back({std::move(values), std::move(config)});
  }
}

std::uint64_t Plan::seed_of(Index run) const {
  return repeat_seed(point(run).config.seed, repeat_of(run));
}

deck::Config Plan::config(Index run, const std::filesystem::path& directory) const {
  deck::Config config = point(run).config;
  config.seed = seed_of(run);
  config.output.directory = directory;
  return config;
}

std::string Plan::describe(Index run) const {
  return fmt::format("{}, repeat {}", deck::point_text(study(), point(run).values), repeat_of(run));
}

data::Options data_options(const deck::Config& config) {
  return {.source = config.data.source,
          .path = config.data.path,
          .classes = config.data.classes,
          .train_per_class = config.data.train_per_class,
          .test_count = config.data.test_count,
          .label_noise = config.data.label_noise,
          .seed = config.seed};
}

std::vector<Cost> estimate(const Plan& plan, data::Cache& cache) {
  std::vector<Cost> costs;
  std::vector<std::pair<deck::Data, data::Sizes>> known;
  for (const Point& point : plan.points()) {
    auto found = std::ranges::find(known, point.config.data, &std::pair<deck::Data, data::Sizes>::first);
    if (found == known.end())
      found =
          known.insert(known.end(), {point.config.data, data::measure(data_options(point.config), cache)});
    costs.insert(costs.end(), static_cast<std::size_t>(plan.study().repeats),
                 estimate(point.config, found->second));
  }
  return costs;
}

std::vector<Index> choose_runs(std::span<const Cost> costs, const Choice& choice) {
  std::vector<Index> order(costs.size());
  std::iota(order.begin(), order.end(), Index{0});
  if (!choice.only.empty()) {
    const auto wanted = parse_only(choice.only, std::ssize(costs));
    std::erase_if(order, [&](Index run) { return !wanted[static_cast<std::size_t>(run)]; });
  }
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](Index run) { return costs[static_cast<std::size_t>(run)].flops; });
  if (!choice.part.empty()) keep_part(order, choice.part);
  return order;
}

}  // namespace dualscape::study
