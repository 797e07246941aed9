#pragma once

namespace dualscape {

/// Tells the C library to keep freed memory for reuse instead of handing every large buffer back to the
/// system: buffers of a few hundred kilobytes come and go with each product, and clearing fresh pages costs
/// as much as filling them. Does nothing where the C library has no such setting. Called once, by a program's
/// main.
void keep_freed_memory();

}  // namespace dualscape
