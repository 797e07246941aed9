#include "dualscape/deck/suggest.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace dualscape::deck {

namespace {

char folded(char c) {
  if (c == '_') return '-';
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<int> cost((a.size() + 1) * columns);
  const auto at = [&](std::size_t i, std::size_t j) -> int& { return cost[i * columns + j]; };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = static_cast<int>(i);
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (same ? 0 : 1)});
      const bool swapped =
          i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]);
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  return at(a.size(), b.size());
}

namespace {

/// Whether the shorter of the two, at least three letters, is a part of the other.
bool contains(std::string_view a, std::string_view b) {
  if (a.size() < b.size()) std::swap(a, b);
  const auto same = [](char x, char y) { return folded(x) == folded(y); };
  return b.size() >= 3 && !std::ranges::search(a, b, same).empty();
}

}  // namespace

std::optional<std::string> suggestion(std::string_view word, std::span<const std::string> candidates) {
  std::optional<std::string> best;
  int best_distance = 0;
  for (const auto& candidate : candidates) {
    const int distance = edit_distance(word, candidate);
    const int limit = std::max(1, static_cast<int>(std::max(word.size(), candidate.size())) / 3);
    const bool near = distance <= limit && distance < static_cast<int>(candidate.size());
    if (near && (!best || distance < best_distance)) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (best) return best;
  const auto part = std::ranges::find_if(candidates, [&](const auto& name) { return contains(name, word); });
  return part == candidates.end() ? best : *part;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto near = suggestion(word, candidates);
  return near ? "; did you mean '" + *near + "'?" : "";
}

}  // namespace dualscape::deck
