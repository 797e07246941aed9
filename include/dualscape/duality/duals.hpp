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
/// training partner, a' for the test sample and r = W (a' - a), the minimal dual weights
///
///     W* = W + DW,   DW = r a^T / |a|^2
///
/// satisfy W* a = W a', so that loss(x', W) = loss(x, W*) exactly (Feng, Zhang and Tu 2023).
namespace dualscape::duality {

enum class DualState : std::uint8_t {
  kept,     ///< a dual weight
  zero,     ///< |r| is rounding: the dual weight is the weight itself
  dropped,  ///< a = 0 while W a' is not: no dual weight exists
};

/// The pairs of this rank: those of its lanes over all K pairs. Rank one is kept, never formed.
struct Duals {
  Lanes lanes;
  std::vector<DualState> state;
  Matrix<double> activity;            ///< a: pairs x in
  Matrix<double> response;            ///< r = W (a' - a): pairs x out; zero for zero and dropped duals
  Matrix<double> difference;          ///< a' - a: pairs x in
  std::vector<double> inverse;        ///< 1 / |a|^2; zero for zero and dropped duals
  std::vector<double> norm;           ///< |DW| = |r| / |a|; zero for zero and dropped duals
  std::vector<double> loss_gap;       ///< Dl = loss(x') - loss(x)
  std::vector<double> partner_loss;   ///< loss(x)
  std::vector<double> exactness;      ///< |loss(x', W) - loss(x, W*)|; zero for dropped pairs
  std::vector<double> second_order;   ///< grad_z l . r + r^T M r / 2 at the training partner
  std::vector<Index> test;            ///< position of the test sample
  std::vector<int> label;             ///< class of both samples
  std::vector<int> test_prediction;   ///< class of the test sample's largest logit, the first of several
  std::vector<int> train_prediction;  ///< and of the training sample's
  Index first = 0;                    ///< position of this rank's first pair among all K

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
                 std::span<const Pair> pairs, const PairInputs& inputs);

/// One value a pair, of all K pairs in their order, on every rank. @note Collective
std::vector<double> gather_pairs(const Comm& comm, const Duals& duals, const std::vector<double>& own);

/// Activities that enter a layer, for given inputs. Not collective.
Matrix<double> entering_activities(const nn::Model<double>& model, Index layer, const Matrix<double>& inputs);

}  // namespace dualscape::duality
