#include "cuda/bindings.hpp"

#include "arguments.hpp"

namespace py = pybind11;

namespace fastip {
namespace {

using Where = std::pair<int, std::uintptr_t>;  // the device's number, a stream of it

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
void run(void (*kernel)(const Args&, Dtype, void*), const Args& args, int dtype, const Where& where) {
    py::gil_scoped_release released;
    const OnDevice device(where.first);
    kernel(args, static_cast<Dtype>(dtype), reinterpret_cast<void*>(where.second));
}

template <class Args>
void call(void (*kernel)(const Args&, Dtype, void*), const Args& args, int dtype, const Where& where) {
    run(kernel, args, dtype, where);
}

Counts call(void (*kernel)(const AdmmArgs&, Dtype, void*), AdmmArgs args, int dtype, const Where& where) {
    AdmmResult result{};
    args.result = &result;
    run(kernel, args, dtype, where);
    return counts(result);
}

}  // namespace

void bind_cuda(py::module_& m, const py::module_& structs) {
    m.def("trouble", [](int device) {
        const OnDevice current(device);
        return cuda::device_trouble();
    });
    m.attr("admm_states") = 2 * sizeof(std::int64_t[4]);
    m.def("admm_workspace",
          [](const AdmmArgs& args, int dtype) { return cuda::admm_workspace(args, static_cast<Dtype>(dtype)); });
#define FASTIP_BIND(name, Args)                                                                                   \
    m.def(#name,                                                                                                  \
          [](const Args& args, int dtype, const Where& where) { return call(&cuda::name, args, dtype, where); }); \
    m.attr(#Args) = structs.attr(#Args);
    FASTIP_FAMILIES(FASTIP_BIND)
#undef FASTIP_BIND
}

}  // namespace fastip
