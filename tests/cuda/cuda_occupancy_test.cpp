// SPDX-License-Identifier: MIT
// What launchers keep of the runtime's answers about devices and kernels.
#include <thread>
#include <vector>

#include "cuda/support.hpp"
#include "launch.hpp"

namespace ecco {
namespace {

using CudaOccupancy = test::CudaTest;

TEST_F(CudaOccupancy, MultiprocessorsAreThoseOfTheDeviceInAnyThread) {
  int device = 0;
  int want = 0;
  ASSERT_EQ(cudaGetDevice(&device), cudaSuccess);
  ASSERT_EQ(cudaDeviceGetAttribute(&want, cudaDevAttrMultiProcessorCount, device), cudaSuccess);
  std::vector<int> counts(4);
  std::vector<std::thread> threads;
  for (int& count : counts) {
    threads.emplace_back([&count] {
      for (int i = 0; i < 100; ++i) {
        int found = 0;
        if (cuda::detail::multiprocessors(found) == cudaSuccess) count = found;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : counts) EXPECT_EQ(count, want);
}

// An error is no answer to keep; what is known stays known. Which error it is differs: runtimes
// have answered cudaErrorInvalidDeviceFunction and cudaErrorInvalidResourceHandle.
TEST_F(CudaOccupancy, UnknownKernelsAreErrorsEachTime) {
  static const int kNoKernel = 0;
  for (int i = 0; i < 2; ++i) {
    int count = 0;
    const cudaError_t error = cuda::detail::resident_blocks(&kNoKernel, 256, 0, count);
    EXPECT_NE(error, cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), error);
  }
  int count = 0;
  EXPECT_EQ(cuda::detail::multiprocessors(count), cudaSuccess);
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace ecco
