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

/// A power of two near 1/256 of the block's largest magnitude: as tensor_scale it leads the scale
/// clear of FP8's limits, whatever tensor the block is from.
float own_tensor_scale(std::span<const float> block);

/// Divides a group by its largest value. `importance` is empty or 128 long.
NormalizedGroup normalize(std::span<const float> block, std::span<const float> importance);

/// Rounds centroids from places to the int8 grid of tables, ascending, within -127..127.
std::vector<std::int8_t> to_table(std::span<const Pattern> patterns);

}  // namespace ecco::fit
