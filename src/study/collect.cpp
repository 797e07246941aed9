#include "dualscape/study/collect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "dualscape/base/error.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/h5/output.hpp"
#include "dualscape/study/provenance.hpp"

namespace dualscape::study {
namespace {

namespace format = h5::format;

constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

/// All values of one name, over the runs.
using Values = std::vector<double>;

struct Table {
  explicit Table(Index runs)
      : count(static_cast<std::size_t>(runs)), seconds(count, no_value), ranks(count) {}

  std::size_t count;
  std::vector<std::string> states, reasons, folders;
  Values seconds;
  std::vector<Index> ranks;
  std::map<std::string, Values> scalars;
  std::map<std::string, std::vector<Values>> arrays;

  void scalar(const std::string& path, std::size_t run, double value) {
    scalars.try_emplace("scalars/" + path, count, no_value).first->second[run] = value;
  }
};

/// Numbers that describe a run: attributes below these groups, and arrays over the directions.
void read_result(const std::filesystem::path& path, std::size_t run, Table& table) {
  const h5::InputFile file(path);
  file.expect_filetype(format::result_filetype, format::version[0]);
  table.seconds[run] = file.has_attribute("/", "seconds") ? file.attribute_real("/", "seconds") : no_value;
  table.ranks[run] = file.attribute_integer("/", "ranks");
  for (const std::string group : {"loss", "spectrum", "duality"}) {
    if (!file.exists(group)) continue;
    for (const auto& member : file.members(group)) {
      if (member.is_group) {
        for (const auto& [name, value] : file.scalar_attributes(member.path))
          if (const std::string to = member.path + "/" + name; format::find("scalars/" + to) != nullptr)
            table.scalar(to, run, value);
      } else if (const std::string to = "arrays/" + member.path; format::find(to) != nullptr) {
        table.arrays.try_emplace(to, table.count).first->second[run] = file.read_doubles(member.path);
      }
    }
  }
  if (file.exists("training/epoch")) {
    const auto epochs = file.read_integers("training/epoch");
    if (!epochs.empty()) table.scalar("training/epochs", run, static_cast<double>(epochs.back()));
  }
}

Table read_runs(const StudyFolder& folder, const Plan& plan) {
  Table table(plan.runs());
  for (Index run = 0; run < plan.runs(); ++run) {
    auto standing = folder.standing(run);
    if (standing.state == RunState::done) {
      try {
        read_result(folder.run(run).result(), static_cast<std::size_t>(run), table);
      } catch (const DataError& error) {
        standing = {RunState::failed, error.what()};
      }
    }
    table.states.emplace_back(name_of(standing.state));
    table.reasons.push_back(standing.reason);
    table.folders.push_back(StudyFolder::run_name(run).string());
  }
  return table;
}

/// Writes values of an axis as what all of them are: integers, numbers or texts.
void add_axis_values(h5::OutputFile& file, const std::string& path,
                     const std::vector<deck::AxisValue>& values) {
  std::vector<Index> integers;
  Values numbers;
  std::vector<std::string> texts;
  for (const deck::AxisValue& value : values) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) integers.push_back(*integer);
    if (const auto* flag = std::get_if<bool>(&value)) integers.push_back(*flag ? 1 : 0);
    const auto* number = std::get_if<double>(&value);
    const auto* text = std::get_if<std::string>(&value);
    if (!text) numbers.push_back(number ? *number : static_cast<double>(integers.back()));
    texts.push_back(text ? *text : deck::value_text(value));
  }
  const std::vector<Index> shape = {std::ssize(values)};
  if (integers.size() == values.size())
    file.add(path, std::span<const Index>(integers), shape);
  else if (numbers.size() == values.size())
    file.add(path, std::span<const double>(numbers), shape);
  else
    file.add(path, std::span<const std::string>(texts), shape);
}

void add_axes(h5::OutputFile& file, const Plan& plan) {
  const deck::Study& study = plan.study();
  std::vector<std::string> keys;
  for (std::size_t a = 0; a < study.axes.size(); ++a) {
    const deck::Axis& axis = study.axes[a];
    keys.push_back(axis.key);
    add_axis_values(file, "axes/values/" + axis.key, axis.values);
    std::vector<deck::AxisValue> of_runs;
    for (Index run = 0; run < plan.runs(); ++run) of_runs.push_back(plan.point(run).values[a]);
    add_axis_values(file, "runs/parameters/" + axis.key, of_runs);
  }
  file.add("axes/keys", std::span<const std::string>(keys), {std::ssize(keys)});
  file.attribute("axes", "mode", std::string(dualscape::name_of(study.mode)));
  file.attribute("axes", "repeats", study.repeats);
}

void add_runs(h5::OutputFile& file, const Plan& plan, const Table& table) {
  const std::vector<Index> shape = {plan.runs()};
  std::vector<Index> number, point, repeat, seed;
  for (Index run = 0; run < plan.runs(); ++run) {
    number.push_back(run);
    point.push_back(plan.point_of(run));
    repeat.push_back(plan.repeat_of(run));
    seed.push_back(static_cast<Index>(plan.seed_of(run)));
  }
  file.add("runs/number", std::span<const Index>(number), shape);
  file.add("runs/point", std::span<const Index>(point), shape);
  file.add("runs/repeat", std::span<const Index>(repeat), shape);
  file.add("runs/seed", std::span<const Index>(seed), shape);
  file.add("runs/ranks", std::span<const Index>(table.ranks), shape);
  file.add("runs/seconds", std::span<const double>(table.seconds), shape);
  file.add("runs/status", std::span<const std::string>(table.states), shape);
  file.add("runs/reason", std::span<const std::string>(table.reasons), shape);
  file.add("runs/folder", std::span<const std::string>(table.folders), shape);
}

/// Rows of different lengths as a matrix.
template <class T>
void add_stacked(h5::OutputFile& file, const std::string& path, const std::vector<Values>& rows, T nothing) {
  std::size_t longest = 0;
  for (const Values& row : rows) longest = std::max(longest, row.size());
  std::vector<T> all(rows.size() * longest, nothing);
  for (std::size_t r = 0; r < rows.size(); ++r)
    std::ranges::transform(rows[r], all.begin() + static_cast<std::ptrdiff_t>(r * longest),
                           [](double value) { return static_cast<T>(value); });
  file.add(path, std::span<const T>(all), {std::ssize(rows), static_cast<Index>(longest)});
}

void add_results(h5::OutputFile& file, const Plan& plan, const Table& table) {
  for (const auto& [path, values] : table.scalars)
    file.add(path, std::span<const double>(values), {plan.runs()});
  for (const auto& [path, rows] : table.arrays)
    if (format::find(path)->type == format::Type::integer)
      add_stacked<Index>(file, path, rows, -1);
    else
      add_stacked<double>(file, path, rows, no_value);
}

}  // namespace

void collect(const StudyFolder& folder, const Plan& plan, const std::string& command_line, Wait wait) {
  // Only one process at a time collects a study.
  const FileLock lock(folder.collect_lock_file(), wait);
  if (!lock.taken()) return;
  const Table table = read_runs(folder, plan);
  const Comm self(MPI_COMM_SELF);
  h5::OutputFile file(self, folder.collected(), format::study_filetype);
  add_provenance(file, self, plan.deck(), command_line);
  double seconds = 0;
  for (const double run : table.seconds)
    if (!std::isnan(run)) seconds += run;
  file.attribute("/", "seconds", seconds);
  file.add("deck/original", read_file(folder.deck_original()));
  file.add("deck/resolved", read_file(folder.deck_resolved()));
  add_axes(file, plan);
  add_runs(file, plan, table);
  add_results(file, plan, table);
  file.commit();
}

}  // namespace dualscape::study
