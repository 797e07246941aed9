#pragma once

namespace dualscape {

/// When a written file must be on the disk. A killed process loses neither; a power cut may lose what is
/// buffered.
enum class Durability { flushed, buffered };

}  // namespace dualscape
