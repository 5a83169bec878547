// SPDX-License-Identifier: MIT
#include "ecco/planar.hpp"

#include <gtest/gtest.h>

namespace ecco {
namespace {
TEST(Planar, Placeholder) { EXPECT_EQ(planar::half_of(8), 1); }
}  // namespace
}  // namespace ecco
