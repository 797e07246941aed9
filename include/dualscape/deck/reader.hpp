#pragma once

#include <span>
#include <string>
#include <vector>

#include "dualscape/deck/config.hpp"
#include "dualscape/deck/node.hpp"
#include "dualscape/deck/problems.hpp"

namespace dualscape::deck {

/// Reads a deck. `text`: the TOML document; `name`: its file name, for messages; `overrides`: the values of
/// --set, each "section.key=value" (elements of a list by position: "network.layers.0.units=30"), applied in
/// order. A value of --set that is no TOML value counts as a string. Layers without a name get theirs
/// (dense1, dense2, ...) and ranges of axes their values.
///
/// Throws DeckError (a UsageError) with every problem: unknown, missing, mistyped or out-of-range keys,
/// unknown choices, keys that contradict each other; for a document that is no TOML, the first fault alone.
/// Communicates nothing.
Config read_deck(const std::string& text, const std::string& name,
                 const std::vector<std::string>& overrides = {});

/// The deck with every default written, section by section; reads back to an equal Config. Values that are
/// unset (a layer's own activation, absent tables) are left out.
std::string resolved_deck(const Config& config);

/// A study's deck, parsed once and read again at each point of its axes. Communicates nothing.
class PointReader {
 public:
  /// As read_deck, with its errors.
  PointReader(const std::string& text, const std::string& name, const std::vector<std::string>& overrides);

  /// The deck as written.
  const Config& base() const { return base_; }

  /// The deck without [study], with each axis at its value, in the order of the axes. Throws DeckError when
  /// they do not go together; its problems begin with the point's values.
  Config at(std::span<const AxisValue> values) const;

 private:
  Node root_;  ///< without [study]
  Config base_;
};

/// "training.batch_size = 25, network.bias = true"; "the deck as it is" without axes.
std::string point_text(const Study& study, std::span<const AxisValue> values);
/// A value as TOML.
std::string value_text(const AxisValue& value);

}  // namespace dualscape::deck
