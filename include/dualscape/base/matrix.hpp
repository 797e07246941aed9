#pragma once

#include <algorithm>
#include <cassert>
#include <span>
#include <type_traits>
#include <vector>

#include "dualscape/base/partition.hpp"

namespace dualscape {

/// A row-major matrix somewhere in memory: `rows` rows of `cols` entries, `stride` apart. Cheap to copy, owns
/// nothing.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;

  MatrixView() = default;
  MatrixView(T* data_, Index rows_, Index cols_) : MatrixView(data_, rows_, cols_, cols_) {}
  MatrixView(T* data_, Index rows_, Index cols_, Index stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {
    assert(stride >= cols);
  }
  /// A view that only reads, from one that may write.
  template <class U>
  requires(std::is_same_v<const U, T> && !std::is_const_v<U>) MatrixView(const MatrixView<U>& other)
      : MatrixView(other.data, other.rows, other.cols, other.stride) {}

  T& operator()(Index i, Index j) const { return data[i * stride + j]; }
  std::span<T> row(Index i) const { return {data + i * stride, static_cast<std::size_t>(cols)}; }
  /// Rows [first, first + count).
  MatrixView rows_from(Index first, Index count) const {
    return {data + first * stride, count, cols, stride};
  }
  /// Columns [first, first + count).
  MatrixView cols_from(Index first, Index count) const { return {data + first, rows, count, stride}; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  /// The entries of a contiguous view in one row: loops over entries are short over a narrow matrix's own.
  MatrixView flat() const {
    assert(contiguous());
    return {data, rows > 0 ? 1 : 0, rows * cols};
  }
};

template <class T>
using ConstMatrixView = MatrixView<const T>;

/// k vectors of one distribution, each contiguous: row j holds this rank's part of vector j.
using MultiVector = MatrixView<double>;
using ConstMultiVector = MatrixView<const double>;

/// into_i = op(into_i, more_i); `more` is as long as `into` or longer. Not by the transform of ranges, whose
/// second end keeps the loop from vectorising.
template <class T, class Op>
void combine(std::span<T> into, std::type_identity_t<std::span<const T>> more, Op op) {
  assert(more.size() >= into.size());
  std::transform(into.begin(), into.end(), more.begin(), into.begin(), op);
}

/// Makes one row of each view where all of them are contiguous.
template <class... T>
void flatten_if_contiguous(MatrixView<T>&... views) {
  if ((views.contiguous() && ...)) ((views = views.flat()), ...);
}

/// A buffer as a matrix, enlarged where it is too small.
template <class T>
MatrixView<T> shaped(std::vector<T>& buffer, Index rows, Index cols) {
  const auto size = static_cast<std::size_t>(rows * cols);
  if (buffer.size() < size) buffer.resize(size);
  return {buffer.data(), rows, cols};
}

/// A row-major matrix that owns its entries, zero at first.
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Index rows, Index cols)
      : rows_(rows), cols_(cols), entries_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols)) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  T* data() { return entries_.data(); }
  const T* data() const { return entries_.data(); }
  std::span<T> entries() { return entries_; }
  std::span<const T> entries() const { return entries_; }
  T& operator()(Index i, Index j) { return entries_[static_cast<std::size_t>(i * cols_ + j)]; }
  const T& operator()(Index i, Index j) const { return entries_[static_cast<std::size_t>(i * cols_ + j)]; }
  std::span<T> row(Index i) { return view().row(i); }
  std::span<const T> row(Index i) const { return view().row(i); }
  MatrixView<T> view() { return {data(), rows_, cols_}; }
  ConstMatrixView<T> view() const { return {data(), rows_, cols_}; }
  /// The first `rows` rows, for buffers whose last use is shorter.
  MatrixView<T> top(Index rows) { return view().rows_from(0, rows); }

 private:
  Index rows_ = 0;
  Index cols_ = 0;
  std::vector<T> entries_;
};

}  // namespace dualscape
