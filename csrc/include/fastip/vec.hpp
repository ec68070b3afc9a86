// Vectors of the widest size of the instruction set that this file is compiled for, with unaligned loads.
#pragma once
#include <cstddef>
#include <cstring>

namespace fastip {
namespace {  // internal linkage: one copy per instruction set

#if defined(__AVX512F__)
constexpr std::size_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif

#define FASTIP_INLINE inline __attribute__((always_inline))

template <class T, std::size_t Bytes>
struct Vec {
    typedef T type __attribute__((vector_size(Bytes)));
    static constexpr std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(Bytes / sizeof(T));

    static FASTIP_INLINE type load(const T* p) {
        type v;
        std::memcpy(&v, p, Bytes);
        return v;
    }
    static FASTIP_INLINE void store(T* p, type v) { std::memcpy(p, &v, Bytes); }
    static FASTIP_INLINE type splat(T a) { return a - type{}; }
    static FASTIP_INLINE type min(type a, type b) { return a < b ? a : b; }
    static FASTIP_INLINE type max(type a, type b) { return a > b ? a : b; }
};

}  // namespace
}  // namespace fastip
