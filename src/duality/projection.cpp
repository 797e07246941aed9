#include "projection.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/signals.hpp"

namespace dualscape::duality {
namespace {

/// Directions projected on at once: enough for a GEMM, few enough that K x block stays small beside the pairs
/// and whole vectors of a large block small beside the eigenvectors.
Index block_width(Index size, Index pairs) {
  constexpr Index entries = Index{1} << 22;  // 32 MiB of doubles
  return std::clamp<Index>(entries / std::max<Index>({size, pairs, 1}), 8, 1024);
}

/// A tile of duals of a layer this small is formed: one GEMM then does all of its work.
constexpr Index small_layer = 4096;

/// Sum of factors_j x_j^2 in eight partial sums, which are added in a fixed order.
double weighted_squares(std::span<const double> x, const double* factors) {
  std::array<double, 8> partial{};
  std::size_t j = 0;
  for (; j + 8 <= x.size(); j += 8)
    for (std::size_t l = 0; l < 8; ++l) partial[l] += factors[j + l] * (x[j + l] * x[j + l]);
  for (; j < x.size(); ++j) partial[j % 8] += factors[j] * (x[j] * x[j]);
  return ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
         ((partial[4] + partial[5]) + (partial[6] + partial[7]));
}

class BlockOfDirections {
 public:
  /// The projections stand in `pass`.
  BlockOfDirections(const Comm& comm, const Duals& duals, const Directions& directions, Pass& pass)
      : comm_(comm),
        duals_(duals),
        directions_(directions),
        width_(std::min(block_width(directions.partition.size(), duals.lanes.samples()),
                        directions.vectors.rows)),
        fills_block_(dual_size(duals) == directions.partition.size() && directions.place.bias < 0),
        whole_(fills_block_ ? 0 : width_, directions.partition.size()),
        weight_entries_(
            std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(width_ * dual_size(duals)))),
        weights_(weight_entries_.get(), width_ * duals.response.cols(), duals.covector.cols()),
        products_(duals) {
    if (pass.projections == nullptr || pass.width != width_) {
      const auto size = static_cast<std::size_t>(width_ * duals.count());
      pass.projections = std::make_unique_for_overwrite<double[]>(size);
      pass.width = width_;
      pass.blocks = 0;
    }
    projections_ = {pass.projections.get(), duals.count(), width_};
  }

  Index width() const { return width_; }

  /// w_kn of this rank's pairs for directions [first, first + count), once filled. @note Collective
  ConstMatrixView<double> start(Index first, Index count) {
    const Index size = directions_.partition.size();
    const auto into = fills_block_ ? MatrixView<double>(weights_.data, count, size) : whole_.top(count);
    gather_all(comm_, directions_.partition, directions_.vectors.rows_from(first, count), into);
    for (Index j = 0; j < count && !fills_block_; ++j)
      take_matrix(whole_.row(j), directions_.place, matrix(j));
    return projections_.cols_from(0, count);
  }

  /// Fills w_kn for the pairs [first, first + count).
  void fill(Index first, Index count, Index block) {
    products_.project(first, weights_.rows_from(0, block * duals_.response.cols()),
                      projections_.rows_from(first, count).cols_from(0, block));
  }

  /// The layer's part of direction j.
  MatrixView<double> matrix(Index j) {
    return weights_.rows_from(j * duals_.response.cols(), duals_.response.cols());
  }
  std::span<const double> entries(Index j) {
    return {matrix(j).data, static_cast<std::size_t>(dual_size(duals_))};
  }

 private:
  const Comm& comm_;
  const Duals& duals_;
  const Directions& directions_;
  Index width_;
  bool fills_block_;  ///< a direction is the layer's weight: nothing is to be taken out of it
  Matrix<double> whole_;
  std::unique_ptr<double[]> weight_entries_;
  MatrixView<double> weights_, projections_;
  TileProducts products_;
};

/// Factor from w_kn to g_kn: Dl_k / |DW_k|^2; zero without a dual.
double secant(const Duals& duals, Index k) {
  const auto at = static_cast<std::size_t>(k);
  return duals.state[at] == DualState::kept ? duals.loss_gap[at] / (duals.norm[at] * duals.norm[at]) : 0.0;
}

/// |Q v_j - q_j v_j| for the directions of a block, whose w_kn are filled; q_j = v_j^T Q v_j. The part of v_j
/// outside the layer, where Q v_j is zero, has the norm that its unit length leaves. @note Collective
std::vector<double> leaks(const Comm& comm, const Duals& duals, BlockOfDirections& block,
                          ConstMatrixView<double> w, std::span<const double> q, double weight) {
  const Index count = w.cols, size = dual_size(duals), out = duals.response.cols();
  TileProducts products(duals);
  LaneSum sum(comm, duals.lanes, count, size);
  Matrix<double> coefficients(tile_of_pairs, count);
  add_over_pairs(comm, duals, sum, [&](Index first, Index n, MatrixView<double> sums) {
    for (Index i = 0; i < n; ++i) {
      const double factor = weight * secant(duals, first + i);
      for (Index j = 0; j < count; ++j) coefficients(i, j) = factor * w(first + i, j);
    }
    products.spread(first, coefficients.top(n), {sums.data, count * out, duals.covector.cols()});
  });
  const Partition split(size, comm.size());
  Matrix<double> image(count, split.count(comm.rank()));
  sum.reduce_scatter(split, image.view());
  std::vector<double> squares;
  for (Index j = 0; j < count; ++j) {
    const auto v = block.entries(j).subspan(static_cast<std::size_t>(split.begin(comm.rank())),
                                            static_cast<std::size_t>(image.cols()));
    axpy(-q[static_cast<std::size_t>(j)], v, image.row(j));
    squares.push_back(dot(image.row(j), image.row(j)));
  }
  MPI_Allreduce(MPI_IN_PLACE, squares.data(), static_cast<int>(count), MPI_DOUBLE, MPI_SUM, comm.get());
  std::vector<double> result;
  for (Index j = 0; j < count; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const double outside = std::max(0.0, 1 - dot(block.entries(j), block.entries(j)));
    result.push_back(std::sqrt(squares[at] + q[at] * q[at] * outside));
  }
  return result;
}

/// The moments of a block of directions, and what it adds to each pair of this rank.
struct Statistics {
  std::vector<double> mean_w, mean_g, variance_w, variance_g, covariance, contribution, leak;
  std::vector<double> captured, curved;
};

/// Projects all pairs on a block of directions, block by block, where there are several; then a stop loses
/// none that is finished. @note Collective
void fill_blocks(const Comm& comm, const Duals& duals, BlockOfDirections& block, Index directions,
                 Pass& pass) {
  const Lanes& lanes = duals.lanes;
  const Index blocks = blocks_of_pairs(lanes);
  while (blocks > 1 && pass.blocks < blocks) {
    collectively(comm, [&] {
      for (int lane = lanes.first_lane(comm.rank(), comm.size());
           lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
        const Index first = lanes.begin(lane) + pass.blocks * tile_of_pairs;
        if (const Index count = std::min(tile_of_pairs, lanes.end(lane) - first); count > 0)
          block.fill(first - duals.first, count, directions);
      }
    });
    ++pass.blocks;
    if (pass.after_block) pass.after_block();
    stop_point(comm, "during the decomposition");
  }
}

std::vector<double> scaled(double factor, std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  for (double& value : result) value *= factor;
  return result;
}

/// `filled`: the projections w are there; else they are made here. @note Collective
Statistics statistics(const Comm& comm, const Duals& duals, BlockOfDirections& block,
                      ConstMatrixView<double> w, std::span<const double> values, double weight, bool filled) {
  const Index count = w.cols;
  const auto part = [count](std::span<const double> sums, Index which) {
    return sums.subspan(static_cast<std::size_t>(which * count), static_cast<std::size_t>(count));
  };
  // Two passes: deviations from a mean known beforehand do not cancel.
  auto means = sum_over_pairs(comm, duals, 2 * count, [&](Index first, Index n, std::span<double> sums) {
    if (!filled) block.fill(first, n, count);
    for (Index k = first; k < first + n; ++k) {
      const double factor = secant(duals, k);
      const double* row = w.row(k).data();
      double* plain = sums.data();
      double* secants = plain + count;
      for (Index j = 0; j < count; ++j) plain[j] += row[j];
      for (Index j = 0; j < count; ++j) secants[j] += factor * row[j];
    }
  });
  for (double& mean : means) mean *= weight;
  Statistics found;
  found.captured.resize(duals.state.size());
  found.curved.resize(duals.state.size());
  const auto moments =
      sum_over_pairs(comm, duals, 4 * count, [&](Index first, Index n, std::span<double> sums) {
        double* to = sums.data();
        for (Index k = first; k < first + n; ++k) {
          const auto at = static_cast<std::size_t>(k);
          if (duals.state[at] == DualState::dropped) continue;
          const double factor = secant(duals, k);
          const auto row = w.row(k);
          for (Index j = 0; j < count; ++j) {
            const double x = row.data()[j];
            const double dw = x - means.data()[j];
            const double dg = factor * x - means.data()[count + j];
            to[j] += dw * dw;
            to[count + j] += dg * dg;
            to[2 * count + j] += dw * dg;
            to[3 * count + j] += factor * (x * x);
          }
          if (duals.state[at] == DualState::kept)
            found.captured[at] = dot(row, row) / (duals.norm[at] * duals.norm[at]);
          found.curved[at] = weighted_squares(row, values.data());
        }
      });
  found.mean_w = scaled(1.0, part(means, 0));
  found.mean_g = scaled(1.0, part(means, 1));
  found.variance_w = scaled(weight, part(moments, 0));
  found.variance_g = scaled(weight, part(moments, 1));
  found.covariance = scaled(weight, part(moments, 2));
  found.contribution = scaled(weight, part(moments, 3));
  return found;
}

void finish(const Statistics& found, Projected& done) {
  const auto append = [](std::vector<double>& to, const std::vector<double>& more) {
    to.insert(to.end(), more.begin(), more.end());
  };
  append(done.directions.mean_w, found.mean_w);
  append(done.directions.mean_g, found.mean_g);
  append(done.directions.sigma_w, found.variance_w);
  append(done.directions.sigma_g, found.variance_g);
  append(done.directions.contribution, found.contribution);
  append(done.covariance, found.covariance);
  append(done.leak, found.leak);
  axpy(1.0, found.captured, done.captured);
  axpy(1.0, found.curved, done.curved);
}

}  // namespace

void take_matrix(std::span<const double> vector, const Place& place, MatrixView<double> matrix) {
  const Index in = place.bias < 0 ? matrix.cols : matrix.cols - 1;
  for (Index o = 0; o < matrix.rows; ++o) {
    std::copy_n(vector.data() + place.weight + o * in, in, matrix.row(o).data());
    if (place.bias >= 0) matrix(o, in) = vector[static_cast<std::size_t>(place.bias + o)];
  }
}

void add_matrix(double factor, ConstMatrixView<double> matrix, const Place& place, std::span<double> vector) {
  const Index in = place.bias < 0 ? matrix.cols : matrix.cols - 1;
  for (Index o = 0; o < matrix.rows; ++o) {
    axpy(factor, matrix.row(o).first(static_cast<std::size_t>(in)),
         vector.subspan(static_cast<std::size_t>(place.weight + o * in), static_cast<std::size_t>(in)));
    if (place.bias >= 0) vector[static_cast<std::size_t>(place.bias + o)] += factor * matrix(o, in);
  }
}

void TileProducts::project_formed(Index first, ConstMatrixView<double> weights,
                                  MatrixView<double> projections) {
  const Index cols = duals_.covector.cols();
  const auto formed = shaped(images_, projections.rows, dual_size(duals_));
  for (Index i = 0; i < formed.rows; ++i) {
    const auto b = duals_.covector.row(first + i);
    double* to = formed.row(i).data();
    for (double r : duals_.response.row(first + i)) {
      const double factor = duals_.inverse[static_cast<std::size_t>(first + i)] * r;
      for (Index j = 0; j < cols; ++j) to[j] = factor * b.data()[j];
      to += cols;
    }
  }
  gemm<double>(Op::none, Op::transpose, 1.0, formed, {weights.data, projections.cols, formed.cols}, 0.0,
               projections);
}

void TileProducts::project(Index first, ConstMatrixView<double> weights, MatrixView<double> projections) {
  if (dual_size(duals_) <= small_layer) return project_formed(first, weights, projections);
  // w_kj = r_k^T V_j b_k / (b_k.a_k); pairs run fastest, so that the sums over r go side by side.
  const Index count = projections.rows, out = duals_.response.cols();
  const auto images = shaped(images_, weights.rows, count);
  const auto responses = shaped(responses_, out, count);
  gemm<double>(Op::none, Op::transpose, 1.0, weights, duals_.covector.view().rows_from(first, count), 0.0,
               images);
  for (Index i = 0; i < count; ++i)
    for (Index o = 0; o < out; ++o) responses(o, i) = duals_.response(first + i, o);
  sums_.resize(static_cast<std::size_t>(count));
  for (Index j = 0; j < projections.cols; ++j) {
    std::ranges::fill(sums_, 0.0);
    for (Index o = 0; o < out; ++o) {
      const double* r = responses.row(o).data();
      const double* image = images.row(j * out + o).data();
      for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += r[i] * image[i];
    }
    for (Index i = 0; i < count; ++i)
      projections(i, j) =
          duals_.inverse[static_cast<std::size_t>(first + i)] * sums_[static_cast<std::size_t>(i)];
  }
}

void TileProducts::spread(Index first, ConstMatrixView<double> coefficients, MatrixView<double> weights) {
  const Index count = coefficients.rows, out = duals_.response.cols();
  const auto images = shaped(images_, count, weights.rows);
  for (Index i = 0; i < count; ++i) {
    const auto r = duals_.response.row(first + i);
    const double inverse = duals_.inverse[static_cast<std::size_t>(first + i)];
    for (Index j = 0; j < coefficients.cols; ++j)
      std::ranges::transform(r, images.row(i).data() + j * out,
                             [c = inverse * coefficients(i, j)](double x) { return c * x; });
  }
  gemm<double>(Op::transpose, Op::none, 1.0, images, duals_.covector.view().rows_from(first, count), 1.0,
               weights);
}

std::vector<double> captured_by(const Comm& comm, const Duals& duals, const Directions& directions,
                                std::span<const Index> chosen) {
  Matrix<double> vectors(std::ssize(chosen), directions.vectors.cols);
  for (Index j = 0; j < vectors.rows(); ++j)
    std::ranges::copy(directions.vectors.row(chosen[static_cast<std::size_t>(j)]), vectors.row(j).begin());
  Directions subset = directions;
  subset.vectors = vectors.view();
  Pass pass;
  BlockOfDirections block(comm, duals, subset, pass);
  std::vector<double> captured(duals.state.size());
  for (Index begin = 0; begin < vectors.rows(); begin += block.width()) {
    const Index count = std::min(block.width(), vectors.rows() - begin);
    const auto w = block.start(begin, count);
    LaneSum nothing(comm, duals.lanes, 1, 1);
    add_over_pairs(comm, duals, nothing, [&](Index first, Index n, MatrixView<double>) {
      block.fill(first, n, count);
      for (Index k = first; k < first + n; ++k) {
        const auto at = static_cast<std::size_t>(k);
        if (duals.state[at] == DualState::kept)
          captured[at] += dot(w.row(k), w.row(k)) / (duals.norm[at] * duals.norm[at]);
      }
    });
    double status = 0;
    nothing.all_reduce({&status, 1, 1});
  }
  return captured;
}

Index blocks_of_pairs(const Lanes& lanes) {
  Index longest = 0;
  for (int lane = 0; lane < lanes.count(); ++lane)
    longest = std::max(longest, lanes.end(lane) - lanes.begin(lane));
  return (longest + tile_of_pairs - 1) / tile_of_pairs;
}

Projected project(const Comm& comm, const Duals& duals, const Directions& directions, Index pairs,
                  Pass& pass) {
  Projected& done = pass.done;
  done.captured.resize(static_cast<std::size_t>(duals.count()));
  done.curved.resize(static_cast<std::size_t>(duals.count()));
  const double weight = pairs > 0 ? 1.0 / static_cast<double>(pairs) : 0.0;
  BlockOfDirections block(comm, duals, directions, pass);
  const auto all = std::ssize(directions.values);
  for (Index begin = pass.directions(); begin < all; begin = pass.directions()) {
    const Index count = std::min(block.width(), all - begin);
    const auto w = block.start(begin, count);
    fill_blocks(comm, duals, block, count, pass);
    Statistics found =
        statistics(comm, duals, block, w, directions.values.subspan(static_cast<std::size_t>(begin)), weight,
                   pass.blocks > 0);
    if (!directions.complete) found.leak = leaks(comm, duals, block, w, found.contribution, weight);
    // Nothing here fails: a pass that is stopped has a block of directions whole or not at all.
    finish(found, done);
    pass.blocks = 0;
    if (pass.after_block) pass.after_block();
  }
  pass.projections.reset();
  Projected result = done;
  for (double& x : result.directions.sigma_w) x = std::sqrt(x);
  for (double& x : result.directions.sigma_g) x = std::sqrt(x);
  return result;
}

}  // namespace dualscape::duality
