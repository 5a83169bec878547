// SPDX-License-Identifier: MIT
// Time of calls on the device: inputs rotate so that none is in L2, and the calls are replayed as
// one CUDA graph so that launching costs the processor nothing.
#pragma once

#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "ecco/cuda/device.hpp"

namespace ecco::bench {

/// Throws std::runtime_error with CUDA's message.
inline void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(call) + ": " + cudaGetErrorString(error));
  }
}
inline void check(const Status& status) {
  if (!status) throw std::runtime_error(status.message());
}

/// Device memory of `bytes`; throws when there is none.
inline cuda::DeviceMemory allocate(std::size_t bytes) {
  auto memory = cuda::DeviceMemory::allocate(bytes);
  if (!memory) throw std::runtime_error(memory.error().message());
  return std::move(*memory);
}

inline std::size_t& most_copies() {
  static std::size_t most = 64;
  return most;
}

/// Copies of an input that together exceed L2 four times.
inline std::size_t copies_beyond_l2(std::size_t bytes) {
  int l2 = 0;
  check(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, 0), "cudaDeviceGetAttribute");
  const std::size_t wanted = 4 * static_cast<std::size_t>(l2) / std::max<std::size_t>(bytes, 1);
  return std::clamp<std::size_t>(wanted + 1, 1, most_copies());
}

/// A stream with two events around what is timed.
class Clock {
 public:
  Clock() {
    check(cudaStreamCreate(&stream_), "cudaStreamCreate");
    check(cudaEventCreate(&begin_), "cudaEventCreate");
    check(cudaEventCreate(&end_), "cudaEventCreate");
  }
  ~Clock() {
    cudaEventDestroy(end_);
    cudaEventDestroy(begin_);
    cudaStreamDestroy(stream_);
  }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  [[nodiscard]] cudaStream_t stream() const { return stream_; }

  /// Seconds on the device of what `launch` puts on the stream.
  template <typename Launch>
  double seconds(Launch&& launch) {
    check(cudaEventRecord(begin_, stream_), "cudaEventRecord");
    launch();
    check(cudaEventRecord(end_, stream_), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

/// Calls recorded once and replayed as a graph; launched one by one where there are no graphs.
class Replay {
 public:
  Replay(cudaStream_t stream, std::function<void()> calls)
      : stream_(stream), calls_(std::move(calls)) {
    calls_();  // loads the kernels, which may not happen while a stream records
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    if (cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
      cudaGetLastError();
      return;
    }
    calls_();
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
    check(cudaGraphInstantiate(&graph_, graph, 0), "cudaGraphInstantiate");
    cudaGraphDestroy(graph);
  }
  ~Replay() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  void operator()() const {
    if (graph_ == nullptr) {
      calls_();
    } else {
      check(cudaGraphLaunch(graph_, stream_), "cudaGraphLaunch");
    }
  }

 private:
  cudaStream_t stream_;
  std::function<void()> calls_;
  cudaGraphExec_t graph_ = nullptr;
};

/// Bytes per second, read and written, of a copy on the device: best of 9 copies of ten times L2,
/// measured on first use. The roof that results are compared with.
inline double copy_roof() {
  static const double roof = [] {
    int l2 = 0;
    check(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, 0), "cudaDeviceGetAttribute");
    const std::size_t bytes = 10 * static_cast<std::size_t>(std::max(l2, 1 << 16));
    const cuda::DeviceMemory from = allocate(bytes);
    const cuda::DeviceMemory to = allocate(bytes);
    Clock clock;
    double best = 0.0;
    for (int pass = 0; pass < 10; ++pass) {
      const double seconds = clock.seconds([&] {
        check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice,
                              clock.stream()),
              "cudaMemcpyAsync");
      });
      if (pass > 0) best = std::max(best, 2.0 * static_cast<double>(bytes) / seconds);
    }
    return best;
  }();
  return roof;
}

/// Times `call(stream, copy)` for copy = 0..copies - 1, over and over. `bytes` = what one call
/// reads and writes at least; the rate is set beside the roof.
template <typename Call>
void time_calls(benchmark::State& state, std::size_t copies, double bytes, Call&& call) {
  Clock clock;
  const Replay replay(clock.stream(), [&] {
    for (std::size_t copy = 0; copy < copies; ++copy) call(clock.stream(), copy);
  });
  clock.seconds(replay);
  for (auto _ : state) {
    state.SetIterationTime(clock.seconds(replay) / static_cast<double>(copies));
  }
  using benchmark::Counter;
  constexpr auto kRate = Counter::kIsIterationInvariantRate;
  state.counters["bytes/s"] = Counter(bytes, kRate, Counter::kIs1024);
  state.counters["of_copy"] = Counter(bytes / copy_roof(), kRate);
}

}  // namespace ecco::bench
