#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dualscape/base/error.hpp"
#include "dualscape/deck/node.hpp"

namespace dualscape::deck {

/// One thing wrong with a deck.
struct Problem {
  Origin origin;
  std::string text;

  /// "deck.toml:12: key 'network.layers[1].unit' is not known; did you mean 'units'?"
  std::string message() const { return origin.text() + ": " + text; }
};

/// A deck cannot be used. Its message lists every problem found, one a line.
class DeckError : public UsageError {
 public:
  explicit DeckError(std::vector<Problem> problems);
  const std::vector<Problem>& problems() const noexcept { return problems_; }

 private:
  std::vector<Problem> problems_;
};

/// Collects what is wrong with a deck while it is read.
class Problems {
 public:
  /// `path`: the key concerned, e.g. "network.layers[1].units"; `text`: the whole message after the origin.
  void add(const Origin& origin, const std::string& path, const std::string& text);

  /// Whether there is a problem with `path` or with anything inside it: later checks then leave it alone.
  bool failed(std::string_view path) const;
  std::span<const Problem> all() const { return problems_; }
  /// Throws DeckError, problems in the order of the deck's lines and those of --set after them, when there
  /// are any.
  void throw_if_any() const;

 private:
  std::vector<Problem> problems_;
  std::vector<std::string> paths_;
};

}  // namespace dualscape::deck
