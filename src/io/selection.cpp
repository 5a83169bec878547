// SPDX-License-Identifier: MIT
#include "io/selection.hpp"

#include <fmt/format.h>

#include <optional>
#include <regex>
#include <string>
#include <utility>

#include "io/convert.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// std::regex recurses for every character of pattern and subject.
constexpr std::size_t kLongestPattern = 1000;
constexpr std::size_t kLongestSubject = 2000;

/// An optional ECMAScript expression that is searched for in names.
class NamePattern {
 public:
  static Result<NamePattern> create(std::string_view option, const std::string& pattern) {
    NamePattern out;
    if (pattern.empty()) return out;
    if (pattern.size() > kLongestPattern) {
      return fail(StatusCode::invalid_argument,
                  fmt::format("{}: the regular expression has {} bytes, more than {}", option,
                              pattern.size(), kLongestPattern));
    }
    try {
      out.regex_.emplace(pattern, std::regex::ECMAScript);
    } catch (const std::regex_error& error) {
      return fail(
          StatusCode::invalid_argument,
          fmt::format("{}: '{}' is no regular expression: {}", option, pattern, error.what()));
    }
    out.option_ = option;
    return out;
  }

  [[nodiscard]] bool given() const { return regex_.has_value(); }

  [[nodiscard]] Result<bool> matches(const std::string& name) const {
    if (!regex_) return false;
    if (name.size() > kLongestSubject) {
      return fail(StatusCode::invalid_argument,
                  fmt::format("{}: a name of {} bytes is too long for {} (the limit is {})",
                              shown_name(name), name.size(), option_, kLongestSubject));
    }
    try {
      return std::regex_search(name, *regex_);
    } catch (const std::regex_error& error) {
      return fail(StatusCode::invalid_argument,
                  fmt::format("{}: {} gives up: {}", shown_name(name), option_, error.what()));
    }
  }

 private:
  std::string option_;
  std::optional<std::regex> regex_;
};

/// Bytes of the blocks of a tensor; saturates, for the comparison with the source.
std::uint64_t compressed_bytes(const FoldedShape& shape, Codec codec) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(shape.rows, std::uint64_t{blocks_per_row(shape.cols)}, &bytes) ||
      __builtin_mul_overflow(bytes, std::uint64_t{block_bytes(codec)}, &bytes)) {
    return UINT64_MAX;
  }
  return bytes;
}

/// Why a tensor cannot be compressed, or "".
std::string obstacle(const ModelTensor& tensor, Codec codec) {
  if (!parse_float_dtype(tensor.dtype)) {
    return fmt::format("dtype {} is not F16, BF16 or F32", tensor.dtype);
  }
  if (tensor.shape.size() < 2) {
    return fmt::format("rank {} is below 2 (shape {})", tensor.shape.size(),
                       shown_shape(tensor.shape));
  }
  if (tensor.values() == 0) return fmt::format("no values (shape {})", shown_shape(tensor.shape));
  const std::uint64_t blocks = compressed_bytes(fold_shape(tensor.shape), codec);
  if (blocks > tensor.stored.size() / 2) {
    return fmt::format(
        "rows of {} values: the {} blocks would take {} bytes, more than half of "
        "the source's {}",
        tensor.cols(), codec_name(codec), blocks, tensor.stored.size());
  }
  return "";
}

}  // namespace

Result<std::vector<TensorOutcome>> select_tensors(const Model& model,
                                                  const ModelCompressOptions& options) {
  const auto include = NamePattern::create("--include", options.include);
  if (!include) return fail(include.error());
  const auto exclude = NamePattern::create("--exclude", options.exclude);
  if (!exclude) return fail(exclude.error());

  std::vector<TensorOutcome> out;
  for (const ModelTensor& tensor : model.tensors()) {
    const auto included = include->matches(tensor.name);
    if (!included) return fail(prefixed(escape_controls(tensor.file), included.error()));
    const auto excluded = exclude->matches(tensor.name);
    if (!excluded) return fail(prefixed(escape_controls(tensor.file), excluded.error()));

    TensorOutcome outcome;
    outcome.name = tensor.name;
    outcome.shape = tensor.shape;
    outcome.dtype = tensor.dtype;
    outcome.source_bytes = tensor.stored.size();
    outcome.stored_bytes = tensor.stored.size();
    outcome.included = *included && !*excluded;
    outcome.excluded = *excluded;
    if (*excluded) {
      outcome.reason = "excluded by --exclude";
    } else if (include->given() && !*included) {
      outcome.reason = "not named by --include";
    } else {
      outcome.reason = obstacle(tensor, options.codec);
    }
    if (outcome.reason.empty()) {
      outcome.codec = options.codec;
      outcome.stored_bytes = compressed_bytes(fold_shape(tensor.shape), options.codec);
    }
    out.push_back(std::move(outcome));
  }
  return out;
}

}  // namespace ecco
