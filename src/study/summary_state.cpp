#include "summary_state.hpp"

#include <array>
#include <utility>

#include "distributed_rows.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "groups.hpp"

namespace dualscape::study {
namespace {

namespace format = h5::format;

std::string summary_group(const std::string& block) {
  return "spectrum/" + block;
}

/// The lists of a kernel's spectrum, by the names of their datasets.
auto lists_of(spectrum::Singular& ntk) {
  return std::array{
      std::pair{"singular_values", &ntk.values}, std::pair{"singular_value_bounds", &ntk.value_bounds},
      std::pair{"right_residuals", &ntk.right_residuals}, std::pair{"left_residuals", &ntk.left_residuals}};
}

auto counts_of(spectrum::Singular& ntk) {
  return std::array{std::pair{"requested", &ntk.requested}, std::pair{"matvecs", &ntk.matvecs},
                    std::pair{"check_matvecs", &ntk.check_matvecs}};
}

auto numbers_of(spectrum::Trace& trace) {
  return std::array{std::pair{"trace", &trace.trace.value}, std::pair{"trace_error", &trace.trace.error},
                    std::pair{"frobenius", &trace.frobenius.value},
                    std::pair{"frobenius_error", &trace.frobenius.error}};
}

spectrum::Quadratures read_quadratures(const Comm& comm, const h5::InputFile* file,
                                       const std::string& group) {
  spectrum::Quadratures made;
  std::vector<Index> shape(2);
  on_root(comm, [&] {
    shape = file->shape(group + "/nodes");
    made.probes = file->attribute_integer(group, "probes");
    made.matvecs = file->attribute_integer(group, "matvecs");
  });
  comm.broadcast(shape);
  for (auto [name, matrix] : {std::pair{"/nodes", &made.nodes}, std::pair{"/weights", &made.weights}}) {
    *matrix = Matrix<double>(shape[0], shape[1]);
    on_root(comm, [&] { std::ranges::copy(file->read_doubles(group + name), matrix->data()); });
    comm.broadcast(matrix->entries());
  }
  made.probes = comm.broadcast_value(made.probes);
  made.matvecs = comm.broadcast_value(made.matvecs);
  return made;
}

spectrum::Trace read_trace(const Comm& comm, const h5::InputFile* file, const std::string& group) {
  spectrum::Trace trace;
  on_root(comm, [&] {
    for (auto [name, number] : numbers_of(trace)) *number = file->attribute_real(group, name);
    trace.matvecs = file->attribute_integer(group, "trace_matvecs");
  });
  return comm.broadcast_value(trace);
}

spectrum::Diagonal read_diagonal(const Comm& comm, const h5::InputFile* file, const std::string& group,
                                 Index size) {
  const Partition partition(size, comm.size());
  const auto part = [&](const std::string& name) {
    const auto own = scattered(comm, file, group + name, partition, 1);
    return std::vector<double>(own.entries().begin(), own.entries().end());
  };
  spectrum::Diagonal diagonal{.values = part("/diagonal"), .errors = part("/diagonal_error")};
  on_root(comm, [&] {
    diagonal.exact = file->attribute_integer(group, "diagonal_exact") != 0;
    diagonal.matvecs = file->attribute_integer(group, "diagonal_matvecs");
  });
  diagonal.exact = comm.broadcast_value(diagonal.exact);
  diagonal.matvecs = comm.broadcast_value(diagonal.matvecs);
  return diagonal;
}

spectrum::Singular read_ntk(const Comm& comm, const h5::InputFile* file, const std::string& group) {
  spectrum::Singular ntk;
  on_root(comm, [&] {
    for (auto [name, list] : lists_of(ntk)) *list = file->read_doubles(group + "/" + name);
    for (auto [name, count] : counts_of(ntk)) *count = file->attribute_integer(group, name);
    ntk.seconds = file->attribute_real(group, "seconds");
    ntk.reason = file->attribute_text(group, "reason");
  });
  for (auto [name, list] : lists_of(ntk)) comm.broadcast(*list);
  for (auto [name, count] : counts_of(ntk)) *count = comm.broadcast_value(*count);
  ntk.seconds = comm.broadcast_value(ntk.seconds);
  comm.broadcast(ntk.reason);
  return ntk;
}

}  // namespace

void write_summary(const Comm& comm, const std::filesystem::path& path, const std::string& block,
                   const std::vector<double>& eigenvalues, const CurvatureSummary& summary,
                   const std::string& fingerprint) {
  const std::string group = summary_group(block);
  h5::OutputFile file(comm, path, format::checkpoint_filetype);
  file.attribute("/", "fingerprint", fingerprint);
  add_list(file, group + "/eigenvalues", eigenvalues);
  add_finished(file, comm, group, summary);
  file.commit(Durability::flushed, true);
}

std::optional<CurvatureSummary> read_summary(const Comm& comm, const std::filesystem::path& path,
                                             const std::string& block, const spectrum::Spectrum& pairs) {
  const std::string group = summary_group(block);
  std::optional<h5::InputFile> opened;
  struct {
    bool same_pairs, density, trace, diagonal, ntk;
  } has{};
  on_root(comm, [&] {
    opened.emplace(path);
    opened->expect_filetype(format::checkpoint_filetype, format::version[0]);
    has = {.same_pairs = opened->read_doubles(group + "/eigenvalues") == pairs.values,
           .density = opened->exists(group + "/density"),
           .trace = opened->has_attribute(group, "trace"),
           .diagonal = opened->exists(group + "/diagonal"),
           .ntk = opened->exists(group + "/ntk")};
  });
  has = comm.broadcast_value(has);
  if (!has.same_pairs) return std::nullopt;
  const h5::InputFile* file = opened ? &*opened : nullptr;
  CurvatureSummary summary;
  if (has.density) summary.quadratures = read_quadratures(comm, file, group + "/density");
  if (has.trace) summary.trace = read_trace(comm, file, group);
  if (has.diagonal) summary.diagonal = read_diagonal(comm, file, group, pairs.size);
  if (has.ntk) summary.ntk = read_ntk(comm, file, group + "/ntk");
  return summary;
}

}  // namespace dualscape::study
