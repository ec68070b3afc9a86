// Copies and events, in the order of a stream. On the host everything has happened when it is asked for.
#pragma once
#include <cstring>

#include "block.hpp"

namespace fastip {
namespace cuda {

#ifdef __CUDACC__

inline void copy_to_host(void* to, const void* from, std::size_t bytes, Stream stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "copy to the host");
}
inline void clear(void* memory, std::size_t bytes, Stream stream) {
    check(cudaMemsetAsync(memory, 0, bytes, stream), "clearing memory");
}

inline bool capturing(Stream stream) {
    cudaStreamCaptureStatus status;
    check(cudaStreamIsCapturing(stream, &status), "state of the stream");
    return status != cudaStreamCaptureStatusNone;
}

class Event {
  public:
    Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "an event"); }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    void record(Stream stream) { check(cudaEventRecord(event_, stream), "an event"); }
    void wait() const { check(cudaEventSynchronize(event_), "a solve"); }

  private:
    cudaEvent_t event_;
};

#else

inline void copy_to_host(void* to, const void* from, std::size_t bytes, Stream) { std::memcpy(to, from, bytes); }
inline void clear(void* memory, std::size_t bytes, Stream) { std::memset(memory, 0, bytes); }
inline bool capturing(Stream) { return false; }
struct Event {
    void record(Stream) {}
    void wait() const {}
};

#endif

}  // namespace cuda
}  // namespace fastip
