#include "dualscape/study/solve_state.hpp"

#include <fmt/format.h>

#include <array>

#include "distributed_rows.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/hash.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/h5/output.hpp"
#include "dualscape/h5/seal.hpp"

namespace dualscape::study {
namespace {

namespace format = h5::format;
using petsc::EigenState;
using spectrum::SolvePoint;
using spectrum::Stage;

const std::string solve_group = "eigensolve";

/// The whole numbers of where a search stands, by the names of their attributes.
template <class AnyStage, class State>
auto numbers_of(AnyStage& stage, State& state) {
  return std::array{std::pair{"operator", &stage.number},
                    std::pair{"matvecs", &stage.matvecs},
                    std::pair{"matvecs_single", &stage.single_matvecs},
                    std::pair{"check_matvecs", &stage.check_matvecs},
                    std::pair{"matvecs_pruned", &stage.pruned_matvecs},
                    std::pair{"solves", &state.solves},
                    std::pair{"products", &state.products},
                    std::pair{"check_products", &state.check_products},
                    std::pair{"phase_began", &state.phase_began},
                    std::pair{"solve_products", &state.solve_products},
                    std::pair{"cycle", &state.restart.cycle},
                    std::pair{"cycle_products", &state.restart.products},
                    std::pair{"draws", &state.restart.draws}};
}

/// All vectors of a state: pairs of the upper end, of the lower end, those of the restart.
std::vector<std::span<const double>> vectors_of(const EigenState& state) {
  std::vector<std::span<const double>> all;
  for (const auto* pairs : {&state.upper, &state.lowest})
    for (const petsc::RitzPair& pair : *pairs) all.emplace_back(pair.vector);
  const ConstMultiVector kept = state.restart.vectors;
  for (Index row = 0; row < kept.rows; ++row) all.push_back(kept.row(row));
  return all;
}

/// Values and residuals of the pairs found, both ends.
std::array<std::vector<double>, 2> found_numbers(const EigenState& state) {
  std::array<std::vector<double>, 2> numbers;
  for (const auto* pairs : {&state.upper, &state.lowest})
    for (const petsc::RitzPair& pair : *pairs) {
      numbers[0].push_back(pair.value);
      numbers[1].push_back(pair.residual);
    }
  return numbers;
}

void read_numbers(const h5::InputFile& file, SolvePoint& point, std::array<std::vector<double>, 2>& found,
                  Index& upper) {
  EigenState& state = point.state;
  file.expect_filetype(format::checkpoint_filetype, format::version[0]);
  found = {file.read_doubles(solve_group + "/found_values"),
           file.read_doubles(solve_group + "/found_residuals")};
  state.restart.values = file.read_doubles(solve_group + "/kept_values");
  for (auto& [name, number] : numbers_of(point.stage, state))
    *number = file.attribute_integer(solve_group, name);
  upper = file.attribute_integer(solve_group, "found_upper");
  state.phase = static_cast<EigenState::Phase>(file.attribute_integer(solve_group, "phase"));
  state.lower = file.attribute_integer(solve_group, "lower") != 0;
  state.norm_estimate = file.attribute_real(solve_group, "norm_estimate");
  state.restart.norm_estimate = file.attribute_real(solve_group, "cycle_norm_estimate");
  state.asymmetry = file.attribute_real(solve_group, "asymmetry");
  state.restart.asymmetry = file.attribute_real(solve_group, "cycle_asymmetry");
  state.reason = file.attribute_text(solve_group, "reason");
}

void share(const Comm& comm, SolvePoint& point, std::array<std::vector<double>, 2>& found, Index& upper) {
  EigenState& state = point.state;
  for (auto& values : found) comm.broadcast(values);
  comm.broadcast(state.restart.values);
  comm.broadcast(state.reason);
  for (auto& [name, number] : numbers_of(point.stage, state)) *number = comm.broadcast_value(*number);
  upper = comm.broadcast_value(upper);
  state.phase = comm.broadcast_value(state.phase);
  state.lower = comm.broadcast_value(state.lower);
  for (double* value :
       {&state.norm_estimate, &state.restart.norm_estimate, &state.asymmetry, &state.restart.asymmetry})
    *value = comm.broadcast_value(*value);
}

}  // namespace

void write_solve(const Comm& comm, const std::filesystem::path& path, const Partition& partition,
                 const Stage& stage, const EigenState& state, const std::string& fingerprint) {
  h5::OutputFile file(comm, path, format::checkpoint_filetype);
  file.attribute("/", "fingerprint", fingerprint);
  const auto found = found_numbers(state);
  file.add(solve_group + "/found_values", found[0], {std::ssize(found[0])});
  file.add(solve_group + "/found_residuals", found[1], {std::ssize(found[1])});
  file.add(solve_group + "/kept_values", state.restart.values, {std::ssize(state.restart.values)});
  auto vectors = vectors_of(state);
  const Index rows = std::ssize(vectors);
  file.add_rows(solve_group + "/vectors", rows, partition.size(),
                gathered(comm, partition, std::move(vectors)));
  for (const auto& [name, number] : numbers_of(stage, state)) file.attribute(solve_group, name, *number);
  file.attribute(solve_group, "found_upper", std::ssize(state.upper));
  file.attribute(solve_group, "phase", static_cast<Index>(state.phase));
  file.attribute(solve_group, "lower", state.lower);
  file.attribute(solve_group, "norm_estimate", state.norm_estimate);
  file.attribute(solve_group, "cycle_norm_estimate", state.restart.norm_estimate);
  file.attribute(solve_group, "asymmetry", state.asymmetry);
  file.attribute(solve_group, "cycle_asymmetry", state.restart.asymmetry);
  file.attribute(solve_group, "reason", state.reason);
  file.commit(Durability::flushed, true);
}

StoredSolve read_solve(const Comm& comm, const std::filesystem::path& path, const Partition& partition) {
  StoredSolve stored;
  std::array<std::vector<double>, 2> found;
  Index upper = 0;
  Index rows = 0;
  std::optional<h5::InputFile> file;
  on_root(comm, [&] {
    file.emplace(path);
    read_numbers(*file, stored.point, found, upper);
    const std::array<Index, 2> expected = {h5::any_size, partition.size()};
    file->expect_shape(solve_group + "/vectors", expected);
    rows = file->shape(solve_group + "/vectors")[0];
  });
  share(comm, stored.point, found, upper);
  rows = comm.broadcast_value(rows);
  stored.vectors = scattered(comm, file ? &*file : nullptr, solve_group + "/vectors", partition, rows);
  const Index pairs = std::ssize(found[0]);
  for (Index n = 0; n < pairs; ++n) {
    const auto at = static_cast<std::size_t>(n);
    const auto entries = std::as_const(stored.vectors).row(n);
    auto& end = n < upper ? stored.point.state.upper : stored.point.state.lowest;
    end.push_back({found[0][at], found[1][at], {entries.begin(), entries.end()}});
  }
  stored.point.state.restart.vectors = std::as_const(stored.vectors).view().rows_from(pairs, rows - pairs);
  return stored;
}

std::uint64_t hash_of(std::span<const double> parameters) {
  Hash hash;
  hash.add_values(parameters);
  return hash.value();
}

std::string fingerprint_of(const Comm& comm, const Samples<double>& samples, Index features,
                           std::uint64_t parameters) {
  const Index first = samples.lanes.first_sample(comm.rank(), comm.size());
  std::uint64_t sum = 0;
  collectively(comm, [&] {
    Matrix<double> inputs(1, features);
    for (Index i = 0; i < std::ssize(samples.labels); ++i) {
      samples.inputs(i, inputs.view());
      const std::array<Index, 2> number = {first + i, samples.labels[static_cast<std::size_t>(i)]};
      Hash sample;
      sample.add_values(std::span<const Index>(number));
      sample.add_values(std::as_const(inputs).entries());
      sum += sample.value();
    }
  });
  Hash all;
  const std::array<std::uint64_t, 3> made_from = {
      comm.sum(sum), static_cast<std::uint64_t>(samples.lanes.samples()), parameters};
  all.add_values(std::span<const std::uint64_t>(made_from));
  return fmt::format("{:016x}", all.value());
}

bool usable_checkpoint(const Comm& comm, const std::filesystem::path& path,
                       const std::function<std::string()>& fingerprint,
                       const std::function<void(const std::string& message)>& complain) {
  bool whole = false;
  on_root(comm, [&] {
    if (!std::filesystem::exists(path)) return;
    try {
      h5::require_intact(path);
      whole = true;
    } catch (const DataError& damage) {
      complain(fmt::format("{}; what it held is computed anew", damage.what()));
    }
  });
  if (!comm.broadcast_value(whole)) return false;
  const std::string expected = fingerprint();
  on_root(comm, [&] {
    if (h5::InputFile(path).attribute_text("/", "fingerprint") != expected)
      throw DataError(fmt::format(
          "'{}' was made from other data or weights than this run has: bring those back, or start "
          "anew with --force",
          path.string()));
  });
  return true;
}

}  // namespace dualscape::study
