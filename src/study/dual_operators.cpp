#include "dualscape/study/dual_operators.hpp"

#include <algorithm>

namespace dualscape::study {

std::vector<OperatorSpectrum> find_operator_spectra(const Comm& comm, const duality::Duals& duals,
                                                    const duality::Directions& directions,
                                                    const deck::Config& config) {
  const Index size = duals.response.cols() * duals.covector.cols();
  // The weight, then the bias that augmented duals change.
  const Index weight_size = duals.response.cols() * duals.difference.cols();
  const duality::Place alone{.weight = 0, .bias = size > weight_size ? weight_size : -1};
  const Index count = config.duality->operator_count;
  std::vector<OperatorSpectrum> results;
  for (DualOperator kind : config.duality->operators) {
    OperatorSpectrum result{.kind = kind};
    const duality::WeightOperator of_layer(comm, duals, kind, Partition(size, comm.size()), alone);
    spectrum::Options options{
        .count = count, .tolerance = config.spectrum->tolerance, .seed = config.seed, .dense_limit = size};
    if (size <= 4 * count)
      options.which = Which::all;
    else if (kind == DualOperator::gap)
      options.which = Which::both;
    result.spectrum = spectrum::compute(of_layer, options);
    const duality::WeightOperator of_block(comm, duals, kind, directions.partition, directions.place);
    result.alignment = duality::align(directions.values, directions.vectors, of_block);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace dualscape::study
