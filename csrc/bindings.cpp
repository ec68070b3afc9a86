// The Python module fastip._C: raw pointers and sizes in, the interpreter lock released. Whatever calls this has checked shapes, dtypes and devices.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <new>
#include <string>
#include <tuple>
#include <vector>

#include "fastip/kernels.hpp"

namespace py = pybind11;
using namespace fastip;

namespace {

using Address = std::uintptr_t;
using Size = std::int64_t;

const void* in(Address a) { return reinterpret_cast<const void*>(a); }
void* out(Address a) { return reinterpret_cast<void*>(a); }

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

using Sizes = std::array<Size, 9>;  // planes, height, width, h, w, kh, kw, stride, boundary

ConvArgs conv_args(Address source, Address target, Address psf, const Sizes& n) {
    return {in(source), out(target), static_cast<const double*>(in(psf)), nullptr, nullptr, n[0], n[1], n[2], n[3], n[4], n[5],
            n[6],       n[7],        static_cast<Boundary>(n[8]),         1,       0,       0};
}

void strided_conv(Address x, Address y, Address psf, Address first, Address second, const Sizes& sizes, const std::array<double, 3>& factors, int dtype,
                  int threads) {
    ConvArgs args = conv_args(x, y, psf, sizes);
    args.first = in(first);
    args.second = in(second);
    args.scale = factors[0];
    args.a = factors[1];
    args.b = factors[2];
    call(&Table::strided_conv, args, dtype, threads);
}

void strided_conv_adjoint(Address y, Address x, Address psf, const Sizes& sizes, int dtype, int threads) {
    call(&Table::strided_conv_adjoint, conv_args(y, x, psf, sizes), dtype, threads);
}

ShuffleArgs shuffle_args(Address source, Address target, const std::array<Size, 6>& n) {
    return {in(source), out(target), n[0], n[1], n[2], n[3], n[4], n[5]};  // planes, height, width, h, w, stride
}

void soft_threshold(Address v, Address add, Address result, Size n, const std::array<double, 4>& numbers, int dtype, int threads) {
    call(&Table::soft_threshold, ThresholdArgs{in(v), in(add), out(result), n, numbers[0], numbers[1], numbers[2], numbers[3]}, dtype, threads);
}

void spectral_step(Address f, Address p, Address offset, Address gain, Size planes, Size n, double relaxation, int dtype, int threads) {
    call(&Table::spectral_step, SpectralArgs{out(f), out(p), in(offset), in(gain), planes, n, relaxation}, dtype, threads);
}

void tv_prox(const std::array<Address, 4>& arrays, const std::array<Size, 4>& n, bool isotropic, const std::array<double, 7>& f, int dtype, int threads) {
    call(&Table::tv_prox,
         TvArgs{in(arrays[0]), out(arrays[1]), out(arrays[2]), out(arrays[3]), n[0], n[1], n[2], n[3], isotropic, f[0], f[1], f[2], f[3], f[4], f[5], f[6]},
         dtype, threads);
}

// Returns (iterations done, looks at the stop rule, status).
std::tuple<Size, Size, int> admm(const std::array<Address, 6>& arrays, const std::array<Size, 14>& n, const std::array<double, 7>& f, int dtype, int threads) {
    AdmmResult result{};
    AdmmArgs args{};
    args.y = in(arrays[0]);
    args.q = out(arrays[1]);
    args.image = out(arrays[2]);
    args.psf = static_cast<const double*>(in(arrays[3]));
    args.taps = static_cast<const double*>(in(arrays[4]));
    args.history = static_cast<double*>(out(arrays[5]));
    args.images = n[0], args.channels = n[1], args.h = n[2], args.w = n[3], args.height = n[4], args.width = n[5];
    args.kh = n[6], args.kw = n[7], args.stride = n[8], args.boundary = static_cast<Boundary>(n[9]), args.half = n[10];
    args.iterations = n[11], args.every = n[12], args.patience = n[13];
    args.beta = f[0], args.threshold = f[1], args.shrink = f[2], args.low = f[3], args.high = f[4], args.relaxation = f[5], args.tolerance = f[6];
    args.result = &result;
    call(&Table::admm, args, dtype, threads);
    return {result.iterations, result.checks, static_cast<int>(result.status)};
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
    m.def("strided_conv", &strided_conv);
    m.def("strided_conv_adjoint", &strided_conv_adjoint);
    m.def("pixel_unshuffle", [](Address x, Address phases, const std::array<Size, 6>& sizes, int dtype, int threads) {
        call(&Table::pixel_unshuffle, shuffle_args(x, phases, sizes), dtype, threads);
    });
    m.def("pixel_shuffle", [](Address phases, Address x, const std::array<Size, 6>& sizes, int dtype, int threads) {
        call(&Table::pixel_shuffle, shuffle_args(phases, x, sizes), dtype, threads);
    });
    m.def("soft_threshold", &soft_threshold);
    m.def("spectral_step", &spectral_step);
    m.def("tv_prox", &tv_prox);
    m.def("admm", &admm);
}
