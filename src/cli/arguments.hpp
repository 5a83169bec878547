// SPDX-License-Identifier: MIT
// What the command line asks for, as plain structs: command_line.cpp fills them, commands read
// them.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <variant>

#include "ecco/codec.hpp"
#include "ecco/encode.hpp"
#include "ecco/model.hpp"

namespace ecco::cli {

struct CompressArguments {
  std::string in;
  std::string out;  ///< "" only in a dry run
  Codec codec = Codec::p4;
  Effort effort = Effort::default_;
  H4Mode mode = H4Mode::rate_aware;
  std::optional<TableSource> table;  ///< empty: file if patterns or codebooks are given
  int patterns = 0;                  ///< 0: not given
  int codebooks = 0;                 ///< 0: not given
  std::string importance;
  std::string include;
  std::string exclude;
  int threads = 0;  ///< 0 here and below: as many as the process may run on
  bool force = false;
  bool dry_run = false;
  bool json = false;
};

struct DecompressArguments {
  std::string in;
  std::string out;
  std::string dtype;  ///< as ModelDecompressOptions has it
  int threads = 0;
  bool force = false;
};

struct InfoArguments {
  std::string file;
  std::string against;  ///< "" = none
  int threads = 0;
  bool json = false;
};

struct VerifyArguments {
  std::string file;
  int threads = 0;
  bool json = false;
};

struct TableArguments {
  Codec codec = Codec::p4;
  bool kv = false;  ///< the table of H4's KV mode
  bool json = false;
};

struct BenchArguments {
  std::optional<Codec> codec;  ///< empty: all
  bool json = false;
};

struct VersionArguments {};

/// A text to print instead of doing anything else.
struct HelpArguments {
  std::string text;
};

using Arguments =
    std::variant<CompressArguments, DecompressArguments, InfoArguments, VerifyArguments,
                 TableArguments, BenchArguments, VersionArguments, HelpArguments>;

/// Reads the command line; never prints, never exits. Error: what is wrong with it, and which
/// --help to read.
tl::expected<Arguments, std::string> parse_command_line(int argc, const char* const* argv);

}  // namespace ecco::cli
