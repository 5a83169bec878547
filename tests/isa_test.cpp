// SPDX-License-Identifier: MIT
// Registered once for each value of ECCO_FORCE_ISA (tests/CMakeLists.txt), and once more on an
// emulated CPU without AVX: what is right depends on the variable and on the CPU.
#include "ecco/isa.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/gemm.hpp"
#include "isa/kernels.hpp"
#include "support/matrices.hpp"

namespace ecco {
namespace {

std::string forced() {
  const char* value = std::getenv("ECCO_FORCE_ISA");
  return value == nullptr ? "" : value;
}

// True when the variable names a path that this CPU cannot run, or no path at all.
bool forced_is_an_error() {
  if (forced().empty() || forced() == "scalar") return false;
  return forced() != "avx2" || !isa_supported(Isa::avx2);
}

TEST(Isa, NamesAreThoseOfTheVariable) {
  EXPECT_EQ(isa_name(Isa::scalar), "scalar");
  EXPECT_EQ(isa_name(Isa::avx2), "avx2");
  EXPECT_TRUE(isa_supported(Isa::scalar));
}

TEST(Isa, ActivePathIsTheForcedOrTheFastestOne) {
  const Result<Isa> active = active_isa();
  if (forced_is_an_error()) {
    ASSERT_FALSE(active);
    EXPECT_EQ(active.error().code(), StatusCode::unsupported);
    EXPECT_NE(active.error().message().find("ECCO_FORCE_ISA=" + forced()), std::string::npos);
    return;
  }
  ASSERT_TRUE(active);
  const Isa fastest = isa_supported(Isa::avx2) ? Isa::avx2 : Isa::scalar;
  EXPECT_EQ(*active, forced() == "scalar" ? Isa::scalar : fastest);
}

TEST(Isa, ForcingDecidesWhichKernelsRun) {
  const Result<const Kernels*> kernels = active_kernels();
  ASSERT_EQ(kernels.has_value(), !forced_is_an_error());
  if (!kernels) return;
  EXPECT_EQ((*kernels)->isa, active_isa().value());
  EXPECT_EQ(*kernels, &kernels_of(active_isa().value()));
  const CodecKernels& p4 = (*kernels)->compute.of(Codec::p4);
  const CodecKernels& scalar = scalar_kernels().compute.of(Codec::p4);
  EXPECT_EQ(p4.gemv_f32 == scalar.gemv_f32, *active_isa() == Isa::scalar);
  EXPECT_EQ(p4.decode_f32 == scalar.decode_f32, *active_isa() == Isa::scalar);
}

TEST(Isa, EveryComputeFunctionReportsTheError) {
  const test::Matrix matrix = test::random_matrix(1, Codec::p4, 2, 128, test::Content::valid);
  std::vector<float> x(256, 1.0f);
  std::vector<float> y(4);
  std::vector<float> out(256);
  std::vector<half> halves(256);
  std::vector<bfloat16> bfloats(256);
  std::vector<std::int8_t> centroids(256);
  const Int8Activations q = Int8Activations::quantize(std::span(x).first(128)).value();
  const std::vector<Int8Activations> two(2, q);
  const TensorView& tensor = matrix.view;
  const StatusCode want = forced_is_an_error() ? StatusCode::unsupported : StatusCode::ok;
  EXPECT_EQ(decode_rows(tensor, 0, dense_view(out.data(), 2, 128)).code(), want);
  EXPECT_EQ(decode_rows(tensor, 0, dense_view(halves.data(), 2, 128)).code(), want);
  EXPECT_EQ(decode_rows(tensor, 0, dense_view(bfloats.data(), 2, 128)).code(), want);
  EXPECT_EQ(
      decode_rows(tensor, 0, dense_view(centroids.data(), 2, 128), dense_view(out.data(), 2, 1))
          .code(),
      want);
  EXPECT_EQ(gemv(tensor, std::span(x).first(128), std::span(y).first(2)).code(), want);
  EXPECT_EQ(gemv(tensor, q, std::span(y).first(2)).code(), want);
  EXPECT_EQ(
      gemm(tensor, dense_view<const float>(x.data(), 2, 128), dense_view(y.data(), 2, 2)).code(),
      want);
  EXPECT_EQ(gemm(tensor, two, dense_view(y.data(), 2, 2)).code(), want);
}

// The emulated CPU must really lack AVX2, or its runs would show nothing.
TEST(Isa, TheBaselineLacksAvx2) {
  if (std::getenv("ECCO_TEST_BASELINE") == nullptr) GTEST_SKIP() << "not on the emulated CPU";
  EXPECT_FALSE(isa_supported(Isa::avx2));
}

}  // namespace
}  // namespace ecco
