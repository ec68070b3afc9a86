// From the addresses and sizes that Python passes to the argument structs of the kernels.
#pragma once
#include <array>
#include <cstdint>

#include "fastip/kernels.hpp"

namespace fastip {

using Address = std::uintptr_t;
using Size = std::int64_t;

inline const void* in(Address a) { return reinterpret_cast<const void*>(a); }
inline void* out(Address a) { return reinterpret_cast<void*>(a); }

using ConvSizes = std::array<Size, 9>;  // planes, height, width, h, w, kh, kw, stride, boundary

inline ConvArgs conv_args(Address source, Address target, Address psf, const ConvSizes& n) {
    return {in(source), out(target), static_cast<const double*>(in(psf)), nullptr, nullptr, n[0], n[1], n[2], n[3], n[4], n[5],
            n[6],       n[7],        static_cast<Boundary>(n[8]),         1,       0,       0};
}

inline ConvArgs combined_conv_args(Address x, Address y, Address psf, Address first, Address second, const ConvSizes& sizes,
                                   const std::array<double, 3>& factors) {
    ConvArgs args = conv_args(x, y, psf, sizes);
    args.first = in(first), args.second = in(second);
    args.scale = factors[0], args.a = factors[1], args.b = factors[2];
    return args;
}

inline ShuffleArgs shuffle_args(Address source, Address target, const std::array<Size, 6>& n) {
    return {in(source), out(target), n[0], n[1], n[2], n[3], n[4], n[5]};  // planes, height, width, h, w, stride
}

inline ThresholdArgs threshold_args(Address v, Address add, Address result, Size n, const std::array<double, 4>& numbers) {
    return {in(v), in(add), out(result), n, numbers[0], numbers[1], numbers[2], numbers[3]};
}

inline SpectralArgs spectral_args(const std::array<Address, 4>& arrays, Size planes, Size n, double relaxation) {
    return {out(arrays[0]), out(arrays[1]), in(arrays[2]), in(arrays[3]), planes, n, relaxation};
}

inline TvArgs tv_args(const std::array<Address, 4>& arrays, const std::array<Size, 4>& n, bool isotropic, const std::array<double, 7>& f) {
    return {in(arrays[0]), out(arrays[1]), out(arrays[2]), out(arrays[3]), n[0], n[1], n[2], n[3], isotropic, f[0], f[1], f[2], f[3], f[4], f[5], f[6]};
}

inline AdmmArgs admm_args(const std::array<Address, 6>& arrays, const std::array<Size, 14>& n, const std::array<double, 7>& f, AdmmResult* result) {
    AdmmArgs args{};
    args.y = in(arrays[0]), args.q = out(arrays[1]), args.image = out(arrays[2]);
    args.psf = static_cast<const double*>(in(arrays[3])), args.taps = static_cast<const double*>(in(arrays[4]));
    args.history = static_cast<double*>(out(arrays[5]));
    args.images = n[0], args.channels = n[1], args.h = n[2], args.w = n[3], args.height = n[4], args.width = n[5];
    args.kh = n[6], args.kw = n[7], args.stride = n[8], args.boundary = static_cast<Boundary>(n[9]), args.half = n[10];
    args.iterations = n[11], args.every = n[12], args.patience = n[13];
    args.beta = f[0], args.threshold = f[1], args.shrink = f[2], args.low = f[3], args.high = f[4], args.relaxation = f[5], args.tolerance = f[6];
    args.result = result;
    return args;
}

}  // namespace fastip
