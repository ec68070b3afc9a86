// The Python module fastip_emulated: csrc/cuda compiled for the host, so that its kernels run, block by block and
// thread by thread, without a GPU.
#include <pybind11/pybind11.h>

#include "arguments.hpp"
#include "cuda/bindings.hpp"
#include "cuda/cluster.hpp"

namespace fastip {
namespace cuda {

int enter_device(int device) { return device; }
void leave_device(int) {}
std::string device_trouble() { return ""; }

}  // namespace cuda
}  // namespace fastip

PYBIND11_MODULE(fastip_emulated, m) {
    using namespace fastip;
    bind_arguments(m);
    bind_cuda(m, m);
    m.def("set_order", [](int order) { cuda::thread_order = static_cast<cuda::Order>(order); });
    m.def("set_limits",
          [](int shared_bytes, int ranks, int processors) { cuda::host_limits = {shared_bytes, ranks, processors}; });
}
