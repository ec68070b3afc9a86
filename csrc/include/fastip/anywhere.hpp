// Functions that run on a GPU and on its host alike.
#pragma once
#ifdef __CUDACC__
#define FASTIP_ANYWHERE __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define FASTIP_ANYWHERE inline __attribute__((always_inline))
#else
#define FASTIP_ANYWHERE inline
#endif
