// The Python module fastip._C: raw pointers and sizes in, the interpreter lock released. Whatever calls this has checked shapes, dtypes and devices.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <new>
#include <string>
#include <tuple>
#include <vector>

#include "fastip/arguments.hpp"
#ifdef FASTIP_CUDA
#include "cuda/bindings.hpp"
#endif

namespace py = pybind11;
using namespace fastip;

namespace {

// Runs a kernel of the table in use without the interpreter lock.
template <class Args>
void call(Outcome (*Table::*kernel)(const Args&, Dtype, int), const Args& args, int dtype, int threads) {
    Outcome outcome;
    const Table& kernels = table();
    {
        py::gil_scoped_release released;
        outcome = (kernels.*kernel)(args, static_cast<Dtype>(dtype), threads);
    }
    if (outcome == Outcome::out_of_memory) throw std::bad_alloc();
}

std::vector<std::string> isas() {
    std::vector<std::string> found;
    for (const char* name : {"base", "avx2", "avx512"})
        if (table_named(name)) found.emplace_back(name);
    return found;
}

std::pair<int, std::string> cuda_devices() {
#ifdef FASTIP_CUDA
    int count = 0;
    const int error = cuda_device_count(&count);
    return {error ? 0 : count, error ? cuda_error_string(error) : ""};
#else
    return {0, "compiled without CUDA"};
#endif
}

}  // namespace

PYBIND11_MODULE(_C, m) {
    m.doc() = "Compiled kernels of fastip: raw pointers, no checks. Call them through fastip.kernels.";
    m.attr("version") = FASTIP_VERSION;
#ifdef _OPENMP
    m.attr("openmp") = true;
#else
    m.attr("openmp") = false;
#endif
#ifdef FASTIP_CUDA
    m.attr("cuda_compiled") = true;
#else
    m.attr("cuda_compiled") = false;
#endif
    m.def("isa", [] { return std::string(table().isa); });
    m.def("isas", &isas);
    m.def("use_isa", [](const std::string& name) { use(name.c_str()); });
    m.def("cuda_devices", &cuda_devices);
    m.def("strided_conv",
          [](Address x, Address y, Address psf, Address first, Address second, const ConvSizes& sizes, const std::array<double, 3>& factors, int dtype,
             int threads) { call(&Table::strided_conv, combined_conv_args(x, y, psf, first, second, sizes, factors), dtype, threads); });
    m.def("strided_conv_adjoint", [](Address y, Address x, Address psf, const ConvSizes& sizes, int dtype, int threads) {
        call(&Table::strided_conv_adjoint, conv_args(y, x, psf, sizes), dtype, threads);
    });
    m.def("pixel_unshuffle", [](Address x, Address phases, const std::array<Size, 6>& sizes, int dtype, int threads) {
        call(&Table::pixel_unshuffle, shuffle_args(x, phases, sizes), dtype, threads);
    });
    m.def("pixel_shuffle", [](Address phases, Address x, const std::array<Size, 6>& sizes, int dtype, int threads) {
        call(&Table::pixel_shuffle, shuffle_args(phases, x, sizes), dtype, threads);
    });
    m.def("soft_threshold", [](Address v, Address add, Address result, Size n, const std::array<double, 4>& numbers, int dtype, int threads) {
        call(&Table::soft_threshold, threshold_args(v, add, result, n, numbers), dtype, threads);
    });
    m.def("spectral_step", [](const std::array<Address, 4>& arrays, Size planes, Size n, double relaxation, int dtype, int threads) {
        call(&Table::spectral_step, spectral_args(arrays, planes, n, relaxation), dtype, threads);
    });
    m.def("tv_prox", [](const std::array<Address, 4>& arrays, const std::array<Size, 4>& n, bool isotropic, const std::array<double, 7>& f, int dtype,
                        int threads) { call(&Table::tv_prox, tv_args(arrays, n, isotropic, f), dtype, threads); });
    // Returns (iterations done, looks at the stop rule, status).
    m.def("admm", [](const std::array<Address, 6>& arrays, const std::array<Size, 14>& n, const std::array<double, 7>& f, int dtype, int threads) {
        AdmmResult result{};
        call(&Table::admm, admm_args(arrays, n, f, &result), dtype, threads);
        return std::make_tuple(result.iterations, result.checks, static_cast<int>(result.status));
    });
#ifdef FASTIP_CUDA
    py::module_ cuda = m.def_submodule("cuda", "The same families on a GPU; the last arguments are the device and its stream.");
    bind_cuda(cuda);
#endif
}
