// A row and its phases: phase p holds every stride-th pixel from p on.
#pragma once
#include <cstdint>
#include <cstring>

#include "fastip/vec.hpp"

namespace fastip {
namespace {

template <class T, int S>
__attribute__((noinline)) void split_by(const T* __restrict row, T* __restrict phases, std::int64_t pitch,
                                        std::int64_t n) {
    for (std::int64_t j = 0; j < n; ++j)
        for (int p = 0; p < S; ++p) phases[p * pitch + j] = row[j * S + p];
}

template <class T, int S>
__attribute__((noinline)) void merge_by(const T* __restrict phases, std::int64_t pitch, T* __restrict row,
                                        std::int64_t n) {
    for (std::int64_t j = 0; j < n; ++j)
        for (int p = 0; p < S; ++p) row[j * S + p] = phases[p * pitch + j];
}

// phases[p][j] = row[j * stride + p] for j < n; phase p starts at p * pitch. The usual strides have loops of a fixed
// length, which the compiler turns into shuffles; each more costs a copy of the code.
template <class T>
void split(const T* row, T* phases, std::int64_t pitch, std::int64_t n, std::int64_t stride) {
    switch (stride) {
        case 1:
            std::memcpy(phases, row, static_cast<std::size_t>(n) * sizeof(T));
            return;
        case 2:
            return split_by<T, 2>(row, phases, pitch, n);
        case 3:
            return split_by<T, 3>(row, phases, pitch, n);
        case 4:
            return split_by<T, 4>(row, phases, pitch, n);
        default:
            for (std::int64_t p = 0; p < stride; ++p)
                for (std::int64_t j = 0; j < n; ++j) phases[p * pitch + j] = row[j * stride + p];
    }
}

// row[j * stride + p] = phases[p][j] for j < n
template <class T>
void merge(const T* phases, std::int64_t pitch, T* row, std::int64_t n, std::int64_t stride) {
    switch (stride) {
        case 1:
            std::memcpy(row, phases, static_cast<std::size_t>(n) * sizeof(T));
            return;
        case 2:
            return merge_by<T, 2>(phases, pitch, row, n);
        case 3:
            return merge_by<T, 3>(phases, pitch, row, n);
        case 4:
            return merge_by<T, 4>(phases, pitch, row, n);
        default:
            for (std::int64_t p = 0; p < stride; ++p)
                for (std::int64_t j = 0; j < n; ++j) row[j * stride + p] = phases[p * pitch + j];
    }
}

}  // namespace
}  // namespace fastip
