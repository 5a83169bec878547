// SPDX-License-Identifier: MIT
#include "llama/importance.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "llama/files.hpp"

namespace llama {
namespace {

using ecco::MatrixView;
using ecco::Status;
using ecco::StatusCode;

using Sums = std::map<std::string, std::vector<double>>;

void add_squares(MatrixView<const float> inputs, std::vector<double>& sums) {
  sums.resize(inputs.cols);
  for (std::size_t b = 0; b < inputs.rows; ++b) {
    const float* row = inputs.row(b);
    for (std::size_t k = 0; k < inputs.cols; ++k) sums[k] += double{row[k]} * double{row[k]};
  }
}

ecco::Result<Importance> means(const Sums& sums, std::size_t tokens) {
  Importance importance;
  for (const auto& [name, squares] : sums) {
    std::vector<float>& out = importance[name];
    for (const double square : squares) {
      out.push_back(static_cast<float>(square / static_cast<double>(tokens)));
      if (std::isfinite(out.back())) continue;
      return ecco::fail(StatusCode::invalid_argument, "the inputs of " + name + " are not finite");
    }
  }
  return importance;
}

/// `value` in little-endian order.
template <typename T>
void append(std::string& bytes, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

}  // namespace

ecco::Result<Importance> measure_importance(const Transformer& model,
                                            std::span<const std::uint32_t> tokens,
                                            std::size_t windows, const WindowProgress& progress) {
  const std::size_t context = model.config().context;
  Sums sums;
  for (const Linear* linear : model.matrices()) sums[linear->name()].resize(linear->cols());
  const Observer observer = [&](const Linear& linear, MatrixView<const float> inputs) {
    add_squares(inputs, sums[linear.name()]);
  };
  auto cache = model.new_cache(context);
  if (!cache) return ecco::fail(cache.error());
  Matrix hidden(context, model.config().hidden_size);
  for (std::size_t w = 0; w < windows; ++w) {
    cache->clear();
    Status status =
        model.forward(tokens.subspan(w * context, context), *cache, hidden.view(), observer);
    if (!status) return ecco::fail(std::move(status));
    // The head's input is known without its product, the largest of all.
    add_squares(std::as_const(hidden).view(), sums[model.head().name()]);
    if (progress && !progress(w + 1, windows)) return ecco::fail(StatusCode::cancelled, "stopped");
  }
  return means(sums, windows * context);
}

Status write_importance(const Importance& importance, const std::string& path, bool overwrite) {
  nlohmann::ordered_json header;
  std::size_t begin = 0;
  for (const auto& [name, values] : importance) {
    const std::size_t end = begin + values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"}, {"shape", {values.size()}}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string bytes;
  append(bytes, std::uint64_t{json.size()});
  bytes += json;
  for (const auto& [name, values] : importance) {
    for (const float value : values) append(bytes, ecco::float_bits(value));
  }
  return write_file(path, bytes, overwrite);
}

}  // namespace llama
