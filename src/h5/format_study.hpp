#pragma once

#include <string_view>

#include "dualscape/h5/format.hpp"

namespace dualscape::h5::format {

/// The entry of a study's collected dataset, scalars/... or arrays/..., made of that of a result; or nullptr.
const Entry* find_collected(std::string_view path);

}  // namespace dualscape::h5::format
