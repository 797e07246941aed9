#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dualscape::deck {

/// Number of letters to insert, delete, replace or swap with their neighbour to get from `a` to `b`. Case,
/// and '-' against '_', do not count.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate closest to `word`, when at most a third of its letters (and at least one) are wrong;
/// else the first that contains it or is contained in it ("gauss" for "gauss-newton").
std::optional<std::string> suggestion(std::string_view word, std::span<const std::string> candidates);

/// "; did you mean 'units'?", or nothing when no candidate is close.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace dualscape::deck
