#pragma once

#include "dualscape/base/blas.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "dualscape/operators/layer_hessian.hpp"
#include "support/network_problem.hpp"

/// The Hessian of one dense layer, whose trace and norm have closed forms: with h_p = M_p (x) a_p a_p^T,
/// tr H = mean tr M_p |a_p|^2 and |H|_F^2 = mean over p, q of tr(M_p M_q) (a_p . a_q)^2.
namespace dualscape::testing {

struct LayerOracle {
  static constexpr Index layer = 1;
  NetworkProblem problem;
  double trace = 0;
  double frobenius = 0;

  /// Layer dense2 of a network 4-12-10-3, 120 weights.
  LayerOracle() : problem(Activation::gelu, Loss::cross_entropy, false, 40) {
    problem.network = nn::Network(NetworkProblem::features,
                                  {{.name = "dense1", .units = 12, .activation = Activation::gelu},
                                   {.name = "dense2", .units = 10, .activation = Activation::gelu},
                                   {.name = "dense3", .units = NetworkProblem::classes}},
                                  Loss::cross_entropy);
    problem.parameters = problem.network.initial_parameters(7, 2.0);
    const Comm self(MPI_COMM_SELF);
    const auto linearisation = problem.linearisation(self, {}, 1);
    linearisation.for_each_tile(0, [&](const nn::Tile<double>& tile) {
      const auto m = operators::preactivity_hessians(linearisation, tile, layer);
      const auto& a = tile.a[layer];
      const auto n = static_cast<double>(tile.count);
      double square = 0;
      for (Index p = 0; p < tile.count; ++p) {
        for (Index o = 0; o < 10; ++o) trace += m(p, 11 * o) * dot(a.row(p), a.row(p)) / n;
        for (Index q = 0; q < tile.count; ++q)
          square += dot(m.row(p), m.row(q)) * std::pow(dot(a.row(p), a.row(q)), 2) / (n * n);
      }
      frobenius = std::sqrt(square);
    });
  }

  nn::BlockLayout block() const { return operators::select_block(problem.network, {"dense2"}); }
};

}  // namespace dualscape::testing
