// What the bindings and the kernels promise each other: argument structs, and one table of functions for each
// instruction set. Pointers are to contiguous arrays of one real type; images are planes x height x width, b and c
// folded into planes.
#pragma once
#include <cstdint>
#include <string>

#include "fastip/families.hpp"  // FASTIP_FAMILIES and plain structs, from csrc/families.cmake
#include "fastip/pointwise.hpp"

namespace fastip {

enum class Dtype : int { f32 = 0, f64 = 1, f16 = 2, bf16 = 3 };  // the last two on a GPU only
enum class Boundary : int { circular = 0, valid = 1, reflect = 2, zero = 3 };
enum class Outcome : int { done = 0, out_of_memory = 1 };

// out = scale * A x + a * first + b * second (first and second may be null), A the strided true convolution with psf.
// The adjoint reads data (planes x h x w) and writes an image (planes x height x width); it uses neither scale, first
// nor second.
struct ConvArgs {
    const void* source;
    void* out;
    const double* psf;  // kh x kw
    const void* first;
    const void* second;
    std::int64_t planes, height, width, h, w, kh, kw, stride;
    Boundary boundary;
    double scale = 1, a = 0, b = 0;
};

// out = clip(soft(v + add, threshold) * shrink, low, high); add may be null
struct ThresholdArgs : ProxArgs {
    const void* v;
    const void* add;
    void* out;
    std::int64_t n;
};

// The prox of total variation plus a pointwise prior. v, out: planes x h x w; u, r: the dual field and its
// extrapolation, 2 x planes x h x w, in and out.
struct TvArgs : ProxArgs {
    const void* v;
    void* u;
    void* r;
    void* out;
    std::int64_t planes, h, w, steps;
    bool isotropic;
    double step, weight, momentum;
};

// Whole ADMM iterations: A a strided convolution, C a stencil of (2 half + 1)^2 taps, the prox at step 1 / (2 beta)
// pointwise.
enum class AdmmStatus : int { iterations = 0, converged = 1, unstable = 2 };

enum class AdmmPath : int { fastest = 0, sweeps = 1, chip = 2 };

struct AdmmResult {
    std::int64_t iterations, checks;
    AdmmStatus status;
};

// The prox is that at step 1 / (2 beta).
struct AdmmArgs : ProxArgs {
    // Data y and dual q: planes x h x w; image: planes x height x width, x0 on entry and the result on return.
    const void* y;
    void* q;
    void* image;
    std::int64_t images, channels, h, w, height, width;
    // A: a strided convolution; C: a stencil of (2 half + 1)^2 taps.
    const double* psf;
    std::int64_t kh, kw, stride;
    Boundary boundary;
    const double* taps;
    std::int64_t half;
    double beta;
    double relaxation;
    // The stop rule, looked at every `every` iterations and at the last one; never when tolerance is zero.
    std::int64_t iterations, every, patience;
    double tolerance;
    double* history;  // checks x 2 x images
    // For the rule alone: ||y|| and ||A^T y|| of each image, a bound of ||A||, what an error is known to beside
    // ||A^T y||, and a power of two by which values are multiplied before they are squared, so that data of any size
    // neither overflow nor vanish.
    const double* sizes = nullptr;
    const double* floors = nullptr;
    double norm = 0, rounding = 0, unit = 1;
    AdmmResult* result;
    // On a GPU only. q has the precision of the sums; psf, taps and history are on the device, states (two AdmmState)
    // in page-locked memory of the host.
    void* workspace = nullptr;  // as many bytes as admm_workspace says
    void* relaxed = nullptr;    // where relaxation != 1: the image x' itself, the state being kept in `image`
    void* states = nullptr;
    AdmmPath path = AdmmPath::fastest;
    int ranks = 0;  // on the chip: blocks that keep a plane; 0: as many as suit it
    // On the chip, float32 alone: margins fetched phase by phase, the slower form, kept to be measured against.
    bool by_phase = false;
};

#define FASTIP_DECLARE(name, Args) Outcome name(const Args&, Dtype, int threads);
namespace base {
FASTIP_FAMILIES(FASTIP_DECLARE)
}
namespace avx2 {
FASTIP_FAMILIES(FASTIP_DECLARE)
}
namespace avx512 {
FASTIP_FAMILIES(FASTIP_DECLARE)
}
#undef FASTIP_DECLARE

// On a GPU: queued on a stream, not waited for. Errors are thrown as std::runtime_error.
namespace cuda {
#define FASTIP_DECLARE_CUDA(name, Args) void name(const Args&, Dtype, void* stream);
FASTIP_FAMILIES(FASTIP_DECLARE_CUDA)
#undef FASTIP_DECLARE_CUDA
std::int64_t admm_workspace(const AdmmArgs&, Dtype);  // bytes
int enter_device(int device);                         // makes it the current one and returns the one before
void leave_device(int before);
std::string device_trouble();  // why nothing of this library runs on the current device, or an empty text
}  // namespace cuda

struct Table {
    const char* isa;
#define FASTIP_MEMBER(name, Args) Outcome (*name)(const Args&, Dtype, int threads);
    FASTIP_FAMILIES(FASTIP_MEMBER)
#undef FASTIP_MEMBER
};

// The one in use: FASTIP_CPU_ISA, else the widest this machine runs; throws std::invalid_argument.
const Table& table();
const Table* table_named(const char* isa);  // null where it is not compiled or this machine lacks it
void use(const char* isa);  // switches every later call (tests, benchmarks); throws std::invalid_argument

// 0, or the error whose text is cuda_error_string; compiled where a CUDA compiler was found.
int cuda_device_count(int* count);
const char* cuda_error_string(int error);

}  // namespace fastip
