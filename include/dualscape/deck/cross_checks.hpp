#pragma once

#include "dualscape/deck/table.hpp"

namespace dualscape::deck {

/// Complains about what only shows when several keys are seen together: names that must exist, tables that
/// need each other, choices that exclude each other. Keys that already have a problem are left alone. `root`:
/// the document `config` was read from.
void cross_check(const Config& config, const Node& root, Problems& problems);

}  // namespace dualscape::deck
