// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "cli/threads.hpp"

namespace ecco::cli {
namespace {

/// The errors against an original, by name, and over all values.
struct Comparison {
  std::map<std::string, TensorError, std::less<>> tensors;
  TensorError pooled;

  [[nodiscard]] const TensorError* find(const std::string& name) const {
    const auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : &found->second;
  }
};

Result<Comparison> compare(const Model& model, const InfoArguments& arguments) {
  const Result<Model> original = Model::open(arguments.against);
  if (!original) return fail(original.error());
  const Threads threads(arguments.threads);
  ProgressBar bar("comparing");
  Result<std::vector<TensorError>> errors =
      compare_models(model, *original, threads.parallel(), bar.callback());
  if (!errors) return fail(explain_interrupt(errors.error(), "the comparison is not complete"));
  Comparison comparison;
  for (TensorError& error : *errors) {
    comparison.pooled.squared_error += error.squared_error;
    comparison.pooled.squared_signal += error.squared_signal;
    std::string name = error.name;
    comparison.tensors.emplace(std::move(name), std::move(error));
  }
  return comparison;
}

/// Stored bits per value of any tensor; NaN for one without values.
double bits_per_weight(const ModelTensor& tensor) {
  if (tensor.values() == 0) return std::nan("");
  if (tensor.codec) return tensor.bits_per_weight;
  return 8.0 * static_cast<double>(tensor.stored.size()) / static_cast<double>(tensor.values());
}

std::string json_info(const Model& model, const Comparison* comparison) {
  Json json;
  json["file_bytes"] = model.file_bytes();
  json["header_bytes"] = model.header_bytes();
  json["bits_per_weight"] = nullptr;
  json["rmse"] = nullptr;
  json["tensors"] = Json::array();
  for (const ModelTensor& tensor : model.tensors()) {
    if (tensor.codec) json["bits_per_weight"] = model.bits_per_weight();
    const TensorError* error = comparison != nullptr ? comparison->find(tensor.name) : nullptr;
    Json entry;
    entry["name"] = tensor.name;
    entry["shape"] = tensor.shape;
    entry["codec"] = tensor.codec ? Json(codec_name(*tensor.codec)) : Json();
    entry["table"] = tensor.codec ? Json(tensor.table) : Json();
    entry["bits_per_weight"] = finite_or_null(bits_per_weight(tensor));
    entry["rmse"] = error != nullptr ? finite_or_null(error->rmse()) : Json();
    entry["snr_db"] = error != nullptr ? finite_or_null(error->snr_db()) : Json();
    json["tensors"].push_back(std::move(entry));
  }
  if (comparison != nullptr) json["rmse"] = finite_or_null(comparison->pooled.rmse());
  return to_line(json);
}

std::string list_tensors(const Model& model, const Comparison* comparison) {
  using enum TextTable::Align;
  std::vector<TextTable::Column> columns = {{"tensor"}, {"shape"}, {"dtype"},
                                            {"codec"},  {"table"}, {"bits/weight", right}};
  if (comparison != nullptr) {
    columns.push_back({"RMSE %", right});
    columns.push_back({"SNR dB", right});
  }
  TextTable table(std::move(columns));
  for (const ModelTensor& tensor : model.tensors()) {
    const double bits = bits_per_weight(tensor);
    std::vector<std::string> row = {
        printable(tensor.name),
        format_shape(tensor.shape),
        printable(tensor.dtype),
        std::string(tensor.codec ? codec_name(*tensor.codec) : "carried"),
        tensor.codec ? printable(tensor.table) : "-",
        std::isfinite(bits) ? fmt::format("{:.3f}", bits) : "-"};
    if (comparison != nullptr) {
      const TensorError* error = comparison->find(tensor.name);
      row.push_back(error != nullptr ? fmt::format("{:.3f}", 100.0 * error->rmse()) : "-");
      row.push_back(error != nullptr ? fmt::format("{:.2f}", error->snr_db()) : "-");
    }
    table.add_row(std::move(row));
  }
  return table.text();
}

std::string summary(const Model& model, const Comparison* comparison) {
  std::size_t compressed = 0;
  std::size_t carried = 0;
  double values = 0.0;
  std::uint64_t carried_bytes = 0;
  for (const ModelTensor& tensor : model.tensors()) {
    if (tensor.codec) {
      ++compressed;
      values += static_cast<double>(tensor.values());
    } else {
      ++carried;
      carried_bytes += tensor.stored.size();
    }
  }
  std::string out = fmt::format("compressed  {}", format_number_of(compressed, "tensor"));
  if (compressed > 0) {
    out += fmt::format(", {} values, {:.4f} bits/weight", format_count(values),
                       model.bits_per_weight());
    if (comparison != nullptr) {
      out += fmt::format(", RMSE {:.3f} %, SNR {:.2f} dB", 100.0 * comparison->pooled.rmse(),
                         comparison->pooled.snr_db());
    }
  }
  out += fmt::format("\ncarried     {}, {}\n", format_number_of(carried, "tensor"),
                     format_bytes(carried_bytes));
  out += fmt::format("file        {}, of which the header takes {}\n",
                     format_bytes(model.file_bytes()), format_bytes(model.header_bytes()));
  return out;
}

}  // namespace

Status run(const InfoArguments& arguments) {
  const Result<Model> model = Model::open(arguments.file);
  if (!model) return model.error();
  Comparison comparison;
  const bool compared = !arguments.against.empty();
  if (compared) {
    Result<Comparison> result = compare(*model, arguments);
    if (!result) return result.error();
    comparison = std::move(*result);
  }
  const Comparison* shown = compared ? &comparison : nullptr;
  return write_output(arguments.json
                          ? json_info(*model, shown)
                          : list_tensors(*model, shown) + '\n' + summary(*model, shown));
}

}  // namespace ecco::cli
