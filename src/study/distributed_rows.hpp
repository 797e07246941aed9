#pragma once

#include <span>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/partition.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/h5/output.hpp"

/// Distributed vectors as rows of datasets, which rank 0 writes and reads.
namespace dualscape::study {

/// Gathers them on rank 0, row by row, for the writer. `vectors`: this rank's parts, which must stay.
h5::RowProvider gathered(const Comm& comm, const Partition& partition,
                         std::vector<std::span<const double>> vectors);

/// The first `rows` rows of a dataset, read one at a time on rank 0 (`file` is ignored elsewhere) and spread
/// over the ranks. Throws what reading throws, on every rank. @note Collective
Matrix<double> scattered(const Comm& comm, const h5::InputFile* file, const std::string& dataset,
                         const Partition& partition, Index rows);

}  // namespace dualscape::study
