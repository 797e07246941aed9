#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/duality/pairing.hpp"
#include "dualscape/nn/linearisation.hpp"

/// Dual weights of pairs of samples at one dense layer. With a the activity that enters the layer for the
/// training partner, a' for the test sample and r = W (a' - a), the dual weights
///
///     W* = W + DW,   DW = r b^T / (b.a),   b any co-vector with b.a != 0
///
/// satisfy W* a = W a', so that loss(x', W) = loss(x, W*) exactly (Feng, Zhang and Tu 2023, with b = a).
/// Augmented duals change the bias as well: everything is as for a weight with one more column, the bias, and
/// an activity with one more entry, 1.
namespace dualscape::duality {

enum class DualState : std::uint8_t {
  kept,     ///< a dual weight
  zero,     ///< |r| is rounding: the dual weight is the weight itself
  dropped,  ///< a = 0 while W a' is not: no dual weight exists
};

/// Where a layer's duals stand in a block's vector: their weight, and the bias of augmented ones.
struct Place {
  Index weight = 0;
  Index bias = -1;  ///< -1: the duals have none
};

/// How the co-vector b comes from the activity a: b = a, b = G^-1 a, or b = (a, 1).
struct CoVector {
  DualKind kind = DualKind::minimal;
  Matrix<double> metric_factor;  ///< metric: lower triangle of the Cholesky factor of G, in x in
};

/// The co-vectors of least tr(DW G DW^T) for G = the second moment of the activities that enter a layer, over
/// the samples of `linearisation` and not centred, + ridge tr(G) / in on the diagonal. Throws
/// ComputationError when G is not positive definite. @note Collective
CoVector metric_covector(const nn::Linearisation<double>& linearisation, Index layer, double ridge);

/// The pairs of this rank: those of its lanes over all K pairs. Rank one is kept, never formed.
struct Duals {
  Lanes lanes;
  std::vector<DualState> state;
  Matrix<double> covector;             ///< b: pairs x in, or x (in + 1) with a bias
  Matrix<double> response;             ///< r = W (a' - a): pairs x out; zero for zero and dropped duals
  Matrix<double> difference;           ///< a' - a: pairs x in
  std::vector<double> inverse;         ///< 1 / (b.a); zero for zero and dropped duals
  std::vector<double> norm;            ///< |DW| = |r| |b| / |b.a|; zero for zero and dropped duals
  std::vector<double> loss_gap;        ///< Dl = loss(x') - loss(x)
  std::vector<double> partner_loss;    ///< loss(x)
  std::vector<double> exactness;       ///< |loss(x', W) - loss(x, W*)|; zero for dropped pairs
  std::vector<double> gradient_term;   ///< grad_z l . r at the training partner
  std::vector<double> curvature_term;  ///< r^T M r / 2 there
  std::vector<Index> test;             ///< position of the test sample
  std::vector<int> label;              ///< class of both samples
  std::vector<int> test_prediction;    ///< class of the test sample's largest logit, the first of several
  std::vector<int> train_prediction;   ///< and of the training sample's
  Index first = 0;                     ///< position of this rank's first pair among all K

  Index count() const { return std::ssize(state); }
};

/// Inputs of samples by position, each rank naming its own, scaled as the network takes them. @note
/// Collective
using InputRows = std::function<Matrix<double>(std::span<const Index> positions)>;

/// What a pass over pairs reads: both inputs of each pair, and its class.
struct PairInputs {
  InputRows test;
  InputRows train;
  std::function<int(Index test)> label;  ///< of a test position; the partner's is the same
};

/// Maps the pairs to dual weights at dense layer `layer`, sharded over the ranks by `lanes` (of as many
/// samples as there are pairs). @note Collective
Duals make_duals(const Comm& comm, const nn::Model<double>& model, Index layer, const Lanes& lanes,
                 std::span<const Pair> pairs, const PairInputs& inputs, const CoVector& covector = {});

/// So many values a pair, of all K pairs in their order, on every rank. @note Collective
std::vector<double> gather_pairs(const Comm& comm, const Lanes& lanes, const std::vector<double>& own,
                                 Index values = 1);
std::vector<double> gather_pairs(const Comm& comm, const Duals& duals, const std::vector<double>& own,
                                 Index values = 1);

/// Activities that enter a layer, for given inputs. Not collective.
Matrix<double> entering_activities(const nn::Model<double>& model, Index layer, const Matrix<double>& inputs);

}  // namespace dualscape::duality
