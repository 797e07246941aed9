#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "dualscape/base/error.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/operators/layer_hessian.hpp"
#include "support/dense_operator.hpp"

/// Gradients and Hessian products against those of PyTorch's automatic differentiation, for each case in
/// tests/reference and in the folders named by DUALSCAPE_REFERENCE_DIR (separated by colons).
namespace dualscape::operators {
namespace {

using dualscape::testing::largest;
using dualscape::testing::product;

/// What both sides round is some 1e-16 of the terms of a sum, and the sums cancel by less than four digits.
constexpr double tolerance = 1e-10;

std::vector<std::filesystem::path> cases_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".h5") found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

std::vector<std::filesystem::path> all_cases() {
  auto cases = cases_in(DUALSCAPE_REFERENCE_CASES);
  const char* further = std::getenv("DUALSCAPE_REFERENCE_DIR");
  std::istringstream folders(further ? further : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (!folder.empty()) std::ranges::copy(cases_in(folder), std::back_inserter(cases));
  return cases;
}

/// A case as read from its file; each rank reads for itself.
struct Case {
  nn::Network network;
  Index layer;
  std::vector<double> parameters, inputs, gradient, vector, hessian_vector, eigenvalues;
  std::vector<int> labels;

  explicit Case(const h5::InputFile& file)
      : network(network_of(file)),
        layer(file.attribute_integer("reference", "layer") - 1),
        inputs(file.read_doubles("data/train/x")),
        gradient(file.read_doubles("reference/gradient")),
        vector(file.read_doubles("reference/vector")),
        hessian_vector(file.read_doubles("reference/hessian_vector")),
        eigenvalues(file.read_doubles("reference/dense" + std::to_string(layer + 1) + "/eigenvalues")) {
    for (double& x : inputs) x /= 255;
    for (Index y : file.read_integers("data/train/y")) labels.push_back(static_cast<int>(y));
    for (const nn::Layer& at : network.layers()) {
      std::ranges::copy(file.read_doubles("model/" + at.name + "/weight"), std::back_inserter(parameters));
      if (at.bias)
        std::ranges::copy(file.read_doubles("model/" + at.name + "/bias"), std::back_inserter(parameters));
    }
  }

  static nn::Network network_of(const h5::InputFile& file) {
    std::istringstream arch(file.attribute_text("reference", "arch"));
    const auto activation = parse_choice<Activation>(file.attribute_text("reference", "activation"));
    const bool bias = file.attribute_integer("reference", "bias") != 0;
    const std::string loss = file.attribute_text("reference", "loss");
    std::vector<Index> widths;
    for (std::string width; std::getline(arch, width, ',');) widths.push_back(std::stol(width));
    std::vector<nn::LayerSpec> layers;
    for (std::size_t l = 1; l < widths.size(); ++l)
      layers.push_back({.name = "dense" + std::to_string(l),
                        .units = widths[l],
                        .activation = activation.value(),
                        .bias = bias});
    return {widths.front(), layers, parse_choice<Loss>(loss == "ce" ? "cross-entropy" : loss).value()};
  }

  Samples<double> samples(const Comm& comm) const {
    const Lanes lanes(std::ssize(labels), 8);
    const Index begin = lanes.first_sample(comm.rank(), comm.size());
    const Index end = lanes.first_sample(comm.rank() + 1, comm.size());
    return {.lanes = lanes,
            .labels = {labels.begin() + begin, labels.begin() + end},
            .inputs = [this, begin](Index first, MatrixView<double> out) {
              std::copy_n(inputs.begin() + (begin + first) * network.features(), out.rows * out.cols,
                          out.data);
            }};
  }
};

/// Largest difference relative to the largest expected number; not a number if any difference is none.
double relative_error(std::span<const double> got, std::span<const double> expected) {
  Matrix<double> difference(1, std::ssize(expected));
  for (std::size_t i = 0; i < expected.size(); ++i) difference.data()[i] = got[i] - expected[i];
  return largest(difference.view()) / largest({expected.data(), 1, std::ssize(expected)});
}

void expect_agreement(const Comm& comm, const std::filesystem::path& path) {
  SCOPED_TRACE(path.string());
  std::optional<Case> from_file;
  collectively(comm, [&] { from_file.emplace(h5::InputFile(path)); });
  const Case& reference = *from_file;
  const auto block = nn::whole_network(reference.network);
  ASSERT_EQ(std::ssize(reference.parameters), block.size);
  ASSERT_EQ(std::ssize(reference.gradient), block.size);
  const nn::Linearisation<double> linearisation(comm, reference.network, reference.parameters,
                                                reference.samples(comm), {});

  const double gradient = relative_error(mean_gradient(linearisation, block), reference.gradient);
  Matrix<double> vector(1, block.size);
  std::ranges::copy(reference.vector, vector.data());
  const auto along = product(Hessian<double>(linearisation, block), vector);
  const double hessian = relative_error(along.entries(), reference.hessian_vector);
  // The trace and the norm of the analysed layer's Hessian, known from its eigenvalues.
  const auto dense = assemble_layer_hessian(linearisation, reference.layer, false);
  double trace = 0, square = 0, expected_trace = 0, expected_square = 0;
  for (Index i = 0; i < dense.rows(); ++i) trace += dense(i, i);
  for (double x : dense.entries()) square += x * x;
  for (double x : reference.eigenvalues) {
    expected_trace += x;
    expected_square += x * x;
  }

  EXPECT_LE(gradient, tolerance);
  EXPECT_LE(hessian, tolerance);
  EXPECT_NEAR(trace, expected_trace, tolerance * std::sqrt(expected_square));
  EXPECT_NEAR(square, expected_square, tolerance * expected_square);
  if (comm.is_root())
    std::printf("%-32s relative errors: gradient %.1e, Hessian product %.1e, trace %.1e, norm^2 %.1e\n",
                path.stem().c_str(), gradient, hessian,
                std::abs(trace - expected_trace) / std::sqrt(expected_square),
                std::abs(square / expected_square - 1));
}

TEST(ReferenceCases, GradientAndHessianAgreeWithAutomaticDifferentiation) {
  const Comm comm(MPI_COMM_WORLD);
  ASSERT_GE(cases_in(DUALSCAPE_REFERENCE_CASES).size(), 5U);
  for (const auto& path : all_cases()) expect_agreement(comm, path);
}

}  // namespace
}  // namespace dualscape::operators
