// Compiled for processors with AVX-512 where the rest is for older ones, too: see this folder's
// CMakeLists.txt.
#ifdef DUALSCAPE_AVX512_KERNELS

#include "panel_kernels_impl.hpp"

namespace dualscape::nn {

template struct PanelKernels<double, wide_register_bytes>;
template struct PanelKernels<float, wide_register_bytes>;

}  // namespace dualscape::nn

#endif
