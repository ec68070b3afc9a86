// What the driver says: how many devices, or why there are none. The static runtime opens libcuda at the first call, so
// a machine without it can import.
#include <cuda_runtime.h>

#include <string>

#include "block.hpp"
#include "fastip/kernels.hpp"

namespace fastip {

int cuda_device_count(int* count) {
    const cudaError_t error = cudaGetDeviceCount(count);
    if (error != cudaSuccess) cudaGetLastError();
    return static_cast<int>(error);
}
const char* cuda_error_string(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

namespace cuda {
namespace {

__global__ void probe() {}

}  // namespace

// Why this library has nothing that the current device could run, or an empty text: it is compiled for some
// architectures, and the device may be another.
std::string device_trouble() {
    cudaFuncAttributes attributes{};
    const cudaError_t error = cudaFuncGetAttributes(&attributes, probe);
    if (error == cudaSuccess) return "";
    cudaGetLastError();
    return cudaGetErrorString(error);
}

int enter_device(int device) {
    int before = device;
    check(cudaGetDevice(&before), "the current device");
    if (before != device) check(cudaSetDevice(device), "a device");
    return before;
}

void leave_device(int before) { cudaSetDevice(before); }

}  // namespace cuda
}  // namespace fastip
