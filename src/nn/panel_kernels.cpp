#include "panel_kernels_impl.hpp"

namespace dualscape::nn {

template struct PanelKernels<double, common_register_bytes>;
template struct PanelKernels<float, common_register_bytes>;

}  // namespace dualscape::nn
