#include "distributed_rows.hpp"

namespace dualscape::study {
namespace {

struct Layout {
  Layout(const Comm& comm, const Partition& partition) {
    for (int r = 0; r < comm.size(); ++r) {
      counts.push_back(static_cast<int>(partition.count(r)));
      starts.push_back(static_cast<int>(partition.begin(r)));
    }
  }
  std::vector<int> counts;
  std::vector<int> starts;
};

}  // namespace

h5::RowProvider gathered(const Comm& comm, const Partition& partition,
                         std::vector<std::span<const double>> vectors) {
  return [&comm, layout = Layout(comm, partition), vectors = std::move(vectors)](Index first, Index count,
                                                                                 Matrix<double>& block) {
    for (Index i = 0; i < count; ++i) {
      const auto own = vectors[static_cast<std::size_t>(first + i)];
      MPI_Gatherv(own.data(), static_cast<int>(own.size()), MPI_DOUBLE,
                  comm.is_root() ? block.row(i).data() : nullptr, layout.counts.data(), layout.starts.data(),
                  MPI_DOUBLE, 0, comm.get());
    }
  };
}

Matrix<double> scattered(const Comm& comm, const h5::InputFile* file, const std::string& dataset,
                         const Partition& partition, Index rows) {
  const Layout layout(comm, partition);
  Matrix<double> own(rows, partition.count(comm.rank()));
  std::vector<double> whole(comm.is_root() ? static_cast<std::size_t>(partition.size()) : 0);
  for (Index row = 0; row < rows; ++row) {
    on_root(comm, [&] { file->read_rows(dataset, row, 1, whole); });
    MPI_Scatterv(whole.data(), layout.counts.data(), layout.starts.data(), MPI_DOUBLE, own.row(row).data(),
                 static_cast<int>(own.cols()), MPI_DOUBLE, 0, comm.get());
  }
  return own;
}

}  // namespace dualscape::study
