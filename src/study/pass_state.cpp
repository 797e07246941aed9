#include "dualscape/study/pass_state.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "dualscape/base/error.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "groups.hpp"

namespace dualscape::study {
namespace {

namespace format = h5::format;

const std::string pass_group = "pass";

/// What is known of each finished direction, by the names of the datasets.
template <class Found>
auto lists_of(Found& done) {
  return std::array{std::pair{"mean_w", &done.directions.mean_w},
                    std::pair{"mean_g", &done.directions.mean_g},
                    std::pair{"variance_w", &done.directions.sigma_w},
                    std::pair{"variance_g", &done.directions.sigma_g},
                    std::pair{"contribution", &done.directions.contribution},
                    std::pair{"covariance", &done.covariance},
                    std::pair{"leak", &done.leak}};
}

Index first_pair(const Comm& comm, const Lanes& lanes) {
  return lanes.first_sample(comm.rank(), comm.size());
}

Index own_pairs(const Comm& comm, const Lanes& lanes) {
  return lanes.first_sample(comm.rank() + 1, comm.size()) - first_pair(comm, lanes);
}

/// The projections of this rank's pairs, zero where they are yet to come.
std::vector<double> own_projections(const Comm& comm, const Lanes& lanes, const duality::Pass& pass) {
  std::vector<double> own(static_cast<std::size_t>(own_pairs(comm, lanes) * pass.width));
  for (int lane = lanes.first_lane(comm.rank(), comm.size());
       lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
    const Index begin = lanes.begin(lane) - first_pair(comm, lanes);
    const Index count = std::min(pass.blocks * duality::pairs_of_a_lane, lanes.end(lane) - lanes.begin(lane));
    std::copy_n(pass.projections.get() + begin * pass.width, count * pass.width,
                own.begin() + begin * pass.width);
  }
  return own;
}

/// This rank's part of so many values a pair, which rank 0 reads.
std::vector<double> own_part(const Comm& comm, const h5::InputFile* file, const std::string& name,
                             const Lanes& lanes, Index values) {
  std::vector<double> all(static_cast<std::size_t>(lanes.samples() * values));
  on_root(comm, [&] {
    const auto stored = file->read_doubles(pass_group + name);
    if (stored.size() != all.size())
      throw DataError("'" + file->path().string() + "': " + pass_group + name + " is not of as many pairs");
    std::ranges::copy(stored, all.begin());
  });
  comm.broadcast(std::span(all));
  const auto begin = all.begin() + first_pair(comm, lanes) * values;
  return {begin, begin + own_pairs(comm, lanes) * values};
}

}  // namespace

void write_pass(const Comm& comm, const std::filesystem::path& path, const PassOf& of,
                const duality::Pass& pass, const std::string& fingerprint) {
  h5::OutputFile file(comm, path, format::checkpoint_filetype);
  file.attribute("/", "fingerprint", fingerprint);
  add_list(file, pass_group + "/eigenvalues", of.eigenvalues);
  for (const auto& [name, list] : lists_of(pass.done)) add_list(file, pass_group + "/" + name, *list);
  add_list(file, pass_group + "/captured", duality::gather_pairs(comm, of.lanes, pass.done.captured));
  add_list(file, pass_group + "/curved", duality::gather_pairs(comm, of.lanes, pass.done.curved));
  if (pass.blocks > 0)
    file.add(pass_group + "/projections",
             duality::gather_pairs(comm, of.lanes, own_projections(comm, of.lanes, pass), pass.width),
             {of.lanes.samples(), pass.width});
  file.attribute(pass_group, "layer", of.layer);
  file.attribute(pass_group, "lanes", Index{of.lanes.count()});
  file.attribute(pass_group, "blocks", pass.blocks);
  file.attribute(pass_group, "width", pass.width);
  file.commit(Durability::flushed, true);
}

bool read_pass(const Comm& comm, const std::filesystem::path& path, const PassOf& of, duality::Pass& pass) {
  std::optional<h5::InputFile> opened;
  duality::Pass stored;
  bool same = false;
  on_root(comm, [&] {
    opened.emplace(path);
    opened->expect_filetype(format::checkpoint_filetype, format::version[0]);
    same = opened->attribute_text(pass_group, "layer") == of.layer &&
           opened->read_doubles(pass_group + "/eigenvalues") == of.eigenvalues &&
           opened->attribute_integer(pass_group, "lanes") == of.lanes.count() &&
           opened->shape(pass_group + "/captured").front() == of.lanes.samples();
    for (auto [name, list] : lists_of(stored.done)) *list = opened->read_doubles(pass_group + "/" + name);
    stored.blocks = opened->attribute_integer(pass_group, "blocks");
    stored.width = opened->attribute_integer(pass_group, "width");
  });
  if (!comm.broadcast_value(same)) return false;
  for (auto [name, list] : lists_of(stored.done)) comm.broadcast(*list);
  stored.blocks = comm.broadcast_value(stored.blocks);
  stored.width = comm.broadcast_value(stored.width);
  const h5::InputFile* file = opened ? &*opened : nullptr;
  stored.done.captured = own_part(comm, file, "/captured", of.lanes, 1);
  stored.done.curved = own_part(comm, file, "/curved", of.lanes, 1);
  if (stored.blocks > 0) {
    const auto own = own_part(comm, file, "/projections", of.lanes, stored.width);
    stored.projections = std::make_unique_for_overwrite<double[]>(own.size());
    std::ranges::copy(own, stored.projections.get());
  }
  stored.after_block = std::move(pass.after_block);
  pass = std::move(stored);
  return true;
}

}  // namespace dualscape::study
