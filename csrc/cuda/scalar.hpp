// The types that images are stored in, and the type that sums of them are kept in.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "block.hpp"
#include "fastip/boundary.hpp"
#include "fastip/kernels.hpp"
#include "fastip/pointwise.hpp"
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#include <immintrin.h>
#endif

namespace fastip {
namespace cuda {

#ifdef __CUDACC__
using Half = __half;
using BFloat16 = __nv_bfloat16;
FASTIP_DEVICE float load(const Half* p) { return __half2float(*p); }
FASTIP_DEVICE float load(const BFloat16* p) { return __bfloat162float(*p); }
FASTIP_DEVICE void store(Half* p, float a) { *p = __float2half_rn(a); }
FASTIP_DEVICE void store(BFloat16* p, float a) { *p = __float2bfloat16_rn(a); }
#else
struct Half {
    std::uint16_t bits;
};
struct BFloat16 {
    std::uint16_t bits;
};
inline float load(const Half* p) { return _cvtsh_ss(p->bits); }
inline void store(Half* p, float a) { p->bits = static_cast<std::uint16_t>(_cvtss_sh(a, _MM_FROUND_TO_NEAREST_INT)); }
inline float load(const BFloat16* p) {
    const std::uint32_t bits = static_cast<std::uint32_t>(p->bits) << 16;
    float a;
    std::memcpy(&a, &bits, sizeof a);
    return a;
}
inline void store(BFloat16* p, float a) {
    std::uint32_t bits;
    std::memcpy(&bits, &a, sizeof a);
    p->bits = a == a ? static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16) : std::uint16_t{0x7fff};
}
#endif
FASTIP_DEVICE float load(const float* p) { return *p; }
FASTIP_DEVICE double load(const double* p) { return *p; }
FASTIP_DEVICE void store(float* p, float a) { *p = a; }
FASTIP_DEVICE void store(double* p, double a) { *p = a; }

// float for images in half precision and float, double for double
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

// N neighbours read or written at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

// Calls body(T{}) with the storage type of a dtype.
template <class Body>
void with_type(Dtype dtype, const Body& body) {
    switch (dtype) {
        case Dtype::f32:
            return body(float{});
        case Dtype::f64:
            return body(double{});
        case Dtype::f16:
            return body(Half{});
        case Dtype::bf16:
            return body(BFloat16{});
    }
}

}  // namespace cuda
}  // namespace fastip
