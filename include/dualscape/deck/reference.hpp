#pragma once

#include <string>

/// The reference of every key of the deck, printed from the schema.
namespace dualscape::deck {

/// The page inputs/REFERENCE.md.
std::string reference_markdown();

/// {"tables": [{"name", "form", "optional", "help", "keys": [{"key", "type", "required", "default",
/// "allowed", "unit", "help", "choices": [{"name", "help"}]}]}]}. A key's "default" is TOML text, or null
/// where it is required or unset.
std::string reference_json();

}  // namespace dualscape::deck
