// The Python module fastip_emulated: csrc/cuda compiled for the host, so that its kernels run, block by block and
// thread by thread, without a GPU.
#include <pybind11/pybind11.h>

#include "arguments.hpp"
#include "cuda/bindings.hpp"
#include "cuda/cluster.hpp"
#include "played.hpp"

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
    // Iterations done, looks, status, what they found (looks x 2 x images), iterations asked for.
    m.def("play", [](bool gpu, const std::tuple<std::vector<double>, std::vector<double>, double, double, double>& by,
                     const std::vector<double>& squares, std::int64_t iterations, std::int64_t every,
                     std::int64_t patience, double tolerance) {
        const auto& [sizes, floors, norm, beta, unit] = by;
        Play play({sizes, floors, norm, beta, unit}, squares, tolerance > 0 ? (iterations + every - 1) / every : 0);
        AdmmResult result{};
        const AdmmArgs args = arguments(play, iterations, every, patience, tolerance, result);
        gpu ? play_on_gpu(args) : play_on_cpu(args);
        play.history.resize(2 * result.checks * play.images);
        return std::make_tuple(counts(result), play.history, play.iterations);
    });
}
