// SPDX-License-Identifier: MIT
// What the two trainings of H4 tables share: checked input, normalised groups, integer sums.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ecco/h4_fit.hpp"
#include "fit/h4_kmeans.hpp"

namespace ecco::fit {

/// Error of the values, the importance or the options; none if all is well.
Status check_h4_fit(std::span<const float> values, const H4FitOptions& options);

/// Indices of the blocks that are not all zero.
std::vector<std::size_t> live_blocks(std::span<const float> values);

/// A power of two, 1/256 to 1/128 of the block's largest magnitude: as tensor_scale it leads the
/// scale clear of FP8's limits, whatever tensor the block is from. For magnitudes below 2^-142 it
/// is 2^-149, for those from 2^127 on 2^119: their scales are FP8's 1..127 and 256..480, which
/// holds all but the last 7 % below the largest float. Precondition: finite, not all zero.
float own_tensor_scale(std::span<const float> block);

/// Divides a group by its largest value. `importance` is empty or 128 long.
NormalizedGroup normalize(std::span<const float> block, std::span<const float> importance);

/// Rounds centroids from places to the int8 grid of tables, ascending, within -127..127.
std::vector<std::int8_t> to_table(std::span<const H4Pattern> patterns);

}  // namespace ecco::fit
