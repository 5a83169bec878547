// SPDX-License-Identifier: MIT
// Version of the library; CMake parses these macros, so this file is the one source of truth.
#pragma once

#define ECCO_VERSION_MAJOR 0
#define ECCO_VERSION_MINOR 1
#define ECCO_VERSION_PATCH 0
#define ECCO_VERSION_STRING "0.1.0"
