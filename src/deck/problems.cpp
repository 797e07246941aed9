#include "dualscape/deck/problems.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

namespace dualscape::deck {

namespace {

std::string joined(const std::vector<Problem>& problems) {
  std::vector<std::string> lines;
  for (const auto& problem : problems) lines.push_back(problem.message());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace

DeckError::DeckError(std::vector<Problem> problems)
    : UsageError(joined(problems)), problems_(std::move(problems)) {}

void Problems::add(const Origin& origin, const std::string& path, const std::string& text) {
  problems_.push_back({origin, text});
  paths_.push_back(path);
}

bool Problems::failed(std::string_view path) const {
  return std::ranges::any_of(paths_, [&](const std::string& at) {
    if (!at.starts_with(path)) return false;
    return at.size() == path.size() || at[path.size()] == '.' || at[path.size()] == '[';
  });
}

void Problems::throw_if_any() const {
  if (problems_.empty()) return;
  auto sorted = problems_;
  const auto line = [](const Problem& problem) {
    return problem.origin.line > 0 ? problem.origin.line : std::numeric_limits<int>::max();
  };
  std::ranges::stable_sort(sorted, {}, line);
  throw DeckError(std::move(sorted));
}

}  // namespace dualscape::deck
