// SPDX-License-Identifier: MIT
// The sub-commands: each prints its result on standard output, and nothing when it fails before
// it has one; main.cpp prints the Status.
#pragma once

#include "cli/arguments.hpp"
#include "ecco/status.hpp"

namespace ecco::cli {

Status run(const CompressArguments& arguments);
Status run(const DecompressArguments& arguments);
Status run(const InfoArguments& arguments);
Status run(const VerifyArguments& arguments);  ///< corrupt: not intact, result printed
Status run(const TableArguments& arguments);
Status run(const BenchArguments& arguments);
Status run(const VersionArguments& arguments);
Status run(const HelpArguments& arguments);

}  // namespace ecco::cli
