// SPDX-License-Identifier: MIT
// Everything: includes only.
#pragma once

#include "ecco/codec.hpp"
#include "ecco/config.hpp"
#include "ecco/decode.hpp"
#include "ecco/encode.hpp"
#include "ecco/fit.hpp"
#include "ecco/gemm.hpp"
#include "ecco/gemv.hpp"
#include "ecco/isa.hpp"
#include "ecco/model.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/planar.hpp"
#include "ecco/safetensors.hpp"
#include "ecco/standard_tables.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"
#include "ecco/version.hpp"
