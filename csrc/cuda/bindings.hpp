// The families of csrc/cuda as Python functions: as those of csrc/bindings.cpp, but for the last argument, a device and
// one of its streams.
#pragma once
#include <pybind11/pybind11.h>

namespace fastip {

// structs: where the argument structs are bound.
void bind_cuda(pybind11::module_& m, const pybind11::module_& structs);

}  // namespace fastip
