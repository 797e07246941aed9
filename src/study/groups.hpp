#pragma once

#include <span>
#include <string>

#include "dualscape/h5/output.hpp"
#include "dualscape/spectrum/spectrum.hpp"

/// What several groups of a result are written with.
namespace dualscape::study {

void add_list(h5::OutputFile& file, const std::string& path, std::span<const double> values);
void add_list(h5::OutputFile& file, const std::string& path, std::span<const Index> values);

/// The entries of a spectrum, in a group of any name. `s` must stay until the file is committed.
void add_spectrum(h5::OutputFile& file, const Comm& comm, const std::string& group,
                  const spectrum::Spectrum& s, bool eigenvectors);

}  // namespace dualscape::study
