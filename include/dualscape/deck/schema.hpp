#pragma once

#include "dualscape/deck/table.hpp"

namespace dualscape::deck {

/// The deck: every key with its member of Config, limits, unit and help text. The defaults are those of a
/// default Config.
const Table<Config>& schema();

}  // namespace dualscape::deck
