#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "dualscape/base/kinds.hpp"

namespace dualscape::testing {

/// A sample's loss and its derivatives in the logits, by the textbook formulas in extended precision and with
/// no care for cancellation: what the project's own forms are compared with at moderate logits.
struct NaiveLoss {
  using Wide = long double;
  using Square = std::vector<std::vector<Wide>>;

  Loss loss;
  std::vector<Wide> f;
  std::size_t label;
  std::vector<Wide> p;

  template <class Real>
  NaiveLoss(Loss loss_, std::span<const Real> logits, int label_)
      : loss(loss_),
        f(logits.begin(), logits.end()),
        label(static_cast<std::size_t>(label_)),
        p(exponentials()) {
    Wide sum = 0;
    for (Wide x : p) sum += x;
    for (Wide& x : p) x /= sum;
  }

  std::size_t classes() const { return f.size(); }
  Wide onehot(std::size_t c) const { return c == label ? 1 : 0; }
  Wide factor() const { return Wide(2) / static_cast<Wide>(classes()); }

  Wide value() const {
    if (loss == Loss::cross_entropy) {
      Wide sum = 0;
      for (Wide x : exponentials()) sum += x;
      return std::log(sum) + largest() - f[label];
    }
    Wide sum = 0;
    for (std::size_t c = 0; c < classes(); ++c) {
      const Wide e = (loss == Loss::mse ? f[c] : p[c]) - onehot(c);
      sum += e * e;
    }
    return sum / static_cast<Wide>(classes());
  }

  std::vector<Wide> gradient() const {
    std::vector<Wide> g(classes());
    for (std::size_t c = 0; c < classes(); ++c) {
      if (loss == Loss::cross_entropy) g[c] = p[c] - onehot(c);
      if (loss == Loss::mse) g[c] = factor() * (f[c] - onehot(c));
      if (loss == Loss::softmax_mse)
        for (std::size_t e = 0; e < classes(); ++e) g[c] += factor() * s(c, e) * (p[e] - onehot(e));
    }
    return g;
  }

  /// d^2 loss / df df, or for softmax-mse with `psd` its Gauss-Newton part.
  Square hessian(bool psd = false) const {
    Square matrix(classes(), std::vector<Wide>(classes()));
    const auto g = gradient();  // for softmax-mse (2/C) s (p - onehot): the factor is in it
    for (std::size_t c = 0; c < classes(); ++c)
      for (std::size_t e = 0; e < classes(); ++e) {
        Wide& entry = matrix[c][e];
        if (loss == Loss::cross_entropy) entry = s(c, e);
        if (loss == Loss::mse) entry = c == e ? factor() : 0;
        if (loss != Loss::softmax_mse) continue;
        for (std::size_t d = 0; d < classes(); ++d) entry += factor() * s(c, d) * s(d, e);
        if (!psd) entry += (c == e ? g[c] : 0) - g[c] * p[e] - p[c] * g[e];
      }
    return matrix;
  }

 private:
  Wide s(std::size_t c, std::size_t e) const { return (c == e ? p[c] : 0) - p[c] * p[e]; }
  Wide largest() const { return *std::ranges::max_element(f); }
  std::vector<Wide> exponentials() const {
    std::vector<Wide> e;
    for (Wide x : f) e.push_back(std::exp(x - largest()));
    return e;
  }
};

}  // namespace dualscape::testing
