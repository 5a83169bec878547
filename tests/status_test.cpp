// SPDX-License-Identifier: MIT
#include "ecco/status.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace ecco {
namespace {

TEST(Status, IsOkUnlessItSaysWhatFailed) {
  EXPECT_TRUE(Status().ok());
  EXPECT_TRUE(static_cast<bool>(Status()));
  EXPECT_EQ(Status().message(), "");
  const Status failed(StatusCode::io_error, "disk full");
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.code(), StatusCode::io_error);
  EXPECT_EQ(failed.message(), "disk full");
}

Result<int> half_of(int value) {
  if (value % 2 != 0) return fail(StatusCode::invalid_argument, "odd");
  return value / 2;
}

TEST(Result, HoldsAValueOrTheReason) {
  EXPECT_EQ(half_of(8).value(), 4);
  const Result<int> odd = half_of(7);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().code(), StatusCode::invalid_argument);
  EXPECT_EQ(odd.error().message(), "odd");
  const Result<int> passed_on = fail(odd.error());
  EXPECT_EQ(passed_on.error().message(), "odd");
}

// Files and a C interface will rely on the numbers.
static_assert(static_cast<int>(StatusCode::ok) == 0);
static_assert(static_cast<int>(StatusCode::corrupt) == 5);
static_assert(static_cast<int>(StatusCode::cancelled) == 9);
static_assert(static_cast<int>(StatusCode::device_error) == 10);

}  // namespace
}  // namespace ecco
