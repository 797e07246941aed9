#pragma once

namespace dualscape {

/// What this program was built from.
struct BuildInfo {
  const char* version;
  const char* commit;  ///< "unknown" outside a repository
  bool dirty;          ///< the sources differed from that commit
};

extern const BuildInfo build_info;

}  // namespace dualscape
