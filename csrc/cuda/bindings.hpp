// The families of csrc/cuda as Python functions: as those of csrc/bindings.cpp, but for the last arguments, a device and one of its streams.
#pragma once
#include <pybind11/pybind11.h>

namespace fastip {

void bind_cuda(pybind11::module_& m);

}  // namespace fastip
