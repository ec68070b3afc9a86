#include "cuda/bindings.hpp"

#include <pybind11/stl.h>

#include <tuple>

#include "fastip/arguments.hpp"

namespace py = pybind11;

namespace fastip {
namespace {

using Where = std::pair<int, Address>;  // the device's number, a stream of it

// Makes a device the current one for a while.
class OnDevice {
  public:
    explicit OnDevice(int device) : device_(device), before_(cuda::enter_device(device)) {}
    ~OnDevice() {
        if (before_ != device_) cuda::leave_device(before_);
    }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

  private:
    const int device_, before_;
};

// Queues a kernel without the interpreter lock.
template <class Args>
void call(void (*kernel)(const Args&, Dtype, void*), const Args& args, int dtype, const Where& where) {
    py::gil_scoped_release released;
    const OnDevice device(where.first);
    kernel(args, static_cast<Dtype>(dtype), out(where.second));
}

}  // namespace

void bind_cuda(py::module_& m) {
    m.def("trouble", [](int device) {
        const OnDevice current(device);
        return cuda::device_trouble();
    });
    m.def("strided_conv",
          [](Address x, Address y, Address psf, Address first, Address second, const ConvSizes& sizes, const std::array<double, 3>& factors, int dtype,
             const Where& where) { call(&cuda::strided_conv, combined_conv_args(x, y, psf, first, second, sizes, factors), dtype, where); });
    m.def("strided_conv_adjoint", [](Address y, Address x, Address psf, const ConvSizes& sizes, int dtype, const Where& where) {
        call(&cuda::strided_conv_adjoint, conv_args(y, x, psf, sizes), dtype, where);
    });
    m.def("pixel_unshuffle", [](Address x, Address phases, const std::array<Size, 6>& sizes, int dtype, const Where& where) {
        call(&cuda::pixel_unshuffle, shuffle_args(x, phases, sizes), dtype, where);
    });
    m.def("pixel_shuffle", [](Address phases, Address x, const std::array<Size, 6>& sizes, int dtype, const Where& where) {
        call(&cuda::pixel_shuffle, shuffle_args(phases, x, sizes), dtype, where);
    });
    m.def("soft_threshold", [](Address v, Address add, Address result, Size n, const std::array<double, 4>& numbers, int dtype, const Where& where) {
        call(&cuda::soft_threshold, threshold_args(v, add, result, n, numbers), dtype, where);
    });
    m.def("spectral_step", [](const std::array<Address, 4>& arrays, Size planes, Size n, double relaxation, int dtype, const Where& where) {
        call(&cuda::spectral_step, spectral_args(arrays, planes, n, relaxation), dtype, where);
    });
    m.def("tv_prox", [](const std::array<Address, 4>& arrays, const std::array<Size, 4>& n, bool isotropic, const std::array<double, 7>& f, int dtype,
                        const Where& where) { call(&cuda::tv_prox, tv_args(arrays, n, isotropic, f), dtype, where); });
    m.def("admm_workspace", [](const std::array<Size, 14>& n, const std::array<double, 7>& f, int dtype) {
        return cuda::admm_workspace(admm_args({}, n, f, nullptr), static_cast<Dtype>(dtype));
    });
    m.attr("admm_states") = 2 * sizeof(std::int64_t[4]);
    // Returns (iterations done, looks at the stop rule, status). extra: workspace, where x' goes under relaxation (or 0), page-locked memory of the states.
    // way: the path; on the chip, blocks a plane (or 0) and whether margins are fetched phase by phase.
    m.def("admm", [](const std::array<Address, 6>& arrays, const std::array<Size, 14>& n, const std::array<double, 7>& f, const std::array<Address, 3>& extra,
                     const std::array<int, 3>& way, int dtype, const Where& where) {
        AdmmResult result{};
        AdmmArgs args = admm_args(arrays, n, f, &result);
        args.workspace = out(extra[0]), args.relaxed = out(extra[1]), args.states = out(extra[2]);
        args.path = static_cast<AdmmPath>(way[0]), args.ranks = way[1], args.by_phase = way[2] != 0;
        call(&cuda::admm, args, dtype, where);
        return std::make_tuple(result.iterations, result.checks, static_cast<int>(result.status));
    });
}

}  // namespace fastip
