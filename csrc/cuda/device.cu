// What the driver says: how many devices, or why there are none. The static runtime opens libcuda at the first call, so a machine without it can import.
#include <cuda_runtime_api.h>

#include "block.hpp"
#include "fastip/kernels.hpp"

namespace fastip {

int cuda_device_count(int* count) { return static_cast<int>(cudaGetDeviceCount(count)); }
const char* cuda_error_string(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

namespace cuda {

int enter_device(int device) {
    int before = device;
    check(cudaGetDevice(&before), "the current device");
    if (before != device) check(cudaSetDevice(device), "a device");
    return before;
}

void leave_device(int before) { cudaSetDevice(before); }

}  // namespace cuda
}  // namespace fastip
