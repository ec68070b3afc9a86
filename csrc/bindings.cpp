// The Python module fastip._C: raw pointers and sizes in, the interpreter lock released. Whatever calls this has
// checked shapes, dtypes and devices.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <new>
#include <string>
#include <vector>

#include "arguments.hpp"
#ifdef FASTIP_CUDA
#include "cuda/bindings.hpp"
#endif

namespace py = pybind11;
using namespace fastip;

namespace {

#ifdef _OPENMP
constexpr bool kOpenMP = true;
#else
constexpr bool kOpenMP = false;
#endif

// Runs a kernel of the table in use without the interpreter lock.
template <class Args>
void run(Outcome (*Table::*kernel)(const Args&, Dtype, int), const Args& args, int dtype, int threads) {
    Outcome outcome;
    const Table& kernels = table();
    {
        py::gil_scoped_release released;
        outcome = (kernels.*kernel)(args, static_cast<Dtype>(dtype), kOpenMP ? threads : 1);
    }
    if (outcome == Outcome::out_of_memory) throw std::bad_alloc();
}

template <class Args>
void call(Outcome (*Table::*kernel)(const Args&, Dtype, int), const Args& args, int dtype, int threads) {
    run(kernel, args, dtype, threads);
}

Counts call(Outcome (*Table::*kernel)(const AdmmArgs&, Dtype, int), AdmmArgs args, int dtype, int threads) {
    AdmmResult result{};
    args.result = &result;
    run(kernel, args, dtype, threads);
    return counts(result);
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
    m.attr("openmp") = kOpenMP;
#ifdef FASTIP_CUDA
    m.attr("cuda_compiled") = true;
#else
    m.attr("cuda_compiled") = false;
#endif
    m.def("isa", [] { return std::string(table().isa); });
    m.def("isas", &isas);
    m.def("use_isa", [](const std::string& name) { use(name.c_str()); });
    m.def("cuda_devices", &cuda_devices);
    m.attr("boundaries") = py::make_tuple(kBoundaries[0], kBoundaries[1], kBoundaries[2], kBoundaries[3]);
    bind_arguments(m);
#define FASTIP_BIND(name, Args) \
    m.def(#name, [](const Args& args, int dtype, int threads) { return call(&Table::name, args, dtype, threads); });
    FASTIP_FAMILIES(FASTIP_BIND)
#undef FASTIP_BIND
#ifdef FASTIP_CUDA
    py::module_ cuda =
        m.def_submodule("cuda", "The same families on a GPU; the last argument is the device and its stream.");
    bind_cuda(cuda, m);
#endif
}
