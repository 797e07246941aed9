#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "dualscape/deck/reader.hpp"

namespace dualscape::deck::testing {

/// The messages of the problems of a deck called deck.toml; none when it can be read.
inline std::vector<std::string> messages(const std::string& text,
                                         const std::vector<std::string>& overrides = {}) {
  try {
    read_deck(text, "deck.toml", overrides);
    return {};
  } catch (const DeckError& error) {
    std::vector<std::string> all;
    for (const auto& problem : error.problems()) all.push_back(problem.message());
    return all;
  }
}

/// A small sound deck with `key = value` in its first line.
inline std::string deck_with(const std::string& key, const std::string& value) {
  const std::vector<std::pair<std::string, std::string>> rest = {
      {"network.layers", "[{ units = 5 }, { units = 3 }]"},
      {"training.max_epochs", "7"},
      {"spectrum.block", "'dense2'"},
      {"duality.layer", "'dense2'"}};
  std::string text = key + " = " + value + "\n";
  for (const auto& [name, usual] : rest)
    if (name != key) text += name + " = " + usual + "\n";
  return text;
}

inline Config read_with(const std::string& key, const std::string& value) {
  return read_deck(deck_with(key, value), "deck.toml");
}

/// The one message that `key = value` gives, without the origin, which must be line 1.
inline std::string complaint(const std::string& key, const std::string& value) {
  const auto all = messages(deck_with(key, value));
  if (all.size() != 1) return "not one message: " + ::testing::PrintToString(all);
  const std::string origin = "deck.toml:1: ";
  return all[0].starts_with(origin) ? all[0].substr(origin.size()) : "not of line 1: " + all[0];
}

}  // namespace dualscape::deck::testing
