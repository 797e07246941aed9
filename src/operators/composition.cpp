#include "dualscape/operators/composition.hpp"

#include <algorithm>
#include <stdexcept>

#include "dualscape/base/blas.hpp"

namespace dualscape::operators {

Product::Product(const LinearOperator& a, const LinearOperator& b, bool symmetric)
    : a_(a), b_(b), symmetric_(symmetric) {
  if (!(a.domain() == b.range()))
    throw std::logic_error("Product: the results of the second factor are not the arguments of the first");
  if (symmetric && !(a.range() == b.domain()))
    throw std::logic_error("Product: only a square product can be symmetric");
}

void Product::apply(ConstMultiVector in, MultiVector out) const {
  Matrix<double> between(in.rows, b_.range().count(comm().rank()));
  b_.apply(in, between.view());
  a_.apply(between.view(), out);
}

void Product::apply_transpose(ConstMultiVector in, MultiVector out) const {
  Matrix<double> between(in.rows, a_.domain().count(comm().rank()));
  a_.apply_transpose(in, between.view());
  b_.apply_transpose(between.view(), out);
}

Combination::Combination(std::vector<Term> terms, double shift) : terms_(std::move(terms)), shift_(shift) {
  if (terms_.empty()) throw std::logic_error("Combination: there is no term");
  for (const Term& term : terms_)
    if (!(term.op.range() == range() && term.op.domain() == domain()))
      throw std::logic_error("Combination: the terms have different distributions");
  if (shift != 0 && !(range() == domain()))
    throw std::logic_error("Combination: only a square operator can be shifted");
}

bool Combination::symmetric() const {
  return std::ranges::all_of(terms_, [](const Term& term) { return term.op.symmetric(); });
}

void Combination::combine(ConstMultiVector in, MultiVector out, bool transpose) const {
  Matrix<double> product(out.rows, out.cols);
  for (Index j = 0; j < out.rows; ++j) {
    std::ranges::fill(out.row(j), 0.0);
    if (shift_ != 0) axpy(shift_, in.row(j), out.row(j));
  }
  for (const Term& term : terms_) {
    if (transpose)
      term.op.apply_transpose(in, product.view());
    else
      term.op.apply(in, product.view());
    for (Index j = 0; j < out.rows; ++j) axpy(term.factor, product.row(j), out.row(j));
  }
}

}  // namespace dualscape::operators
