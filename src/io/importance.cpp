// SPDX-License-Identifier: MIT
#include "io/importance.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "ecco/safetensors.hpp"
#include "io/convert.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// Reason why an entry cannot weight the columns of a tensor, or "".
std::string misfit(const SafetensorsEntry& entry, const ModelTensor* tensor) {
  if (tensor == nullptr) return "the model has no tensor of this name";
  if (entry.dtype != "F32" || entry.shape.size() != 1 || entry.shape[0] != tensor->cols()) {
    return fmt::format("{} of shape {}, but the tensor's {} columns take F32 [{}]", entry.dtype,
                       shown_shape(entry.shape), tensor->cols(), tensor->cols());
  }
  return "";
}

/// The same for its values.
std::string bad_value(const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i]) && values[i] >= 0.0f) continue;
    return fmt::format("the importance of column {} is {}, not finite and >= 0", i, values[i]);
  }
  return "";
}

}  // namespace

Result<Importances> load_importances(const std::string& path, const Model& model) {
  Importances out;
  if (path.empty()) return out;
  const auto file = SafetensorsFile::open(path);
  if (!file) return fail(file.error());
  for (const SafetensorsEntry& entry : file->entries()) {
    std::string reason = misfit(entry, model.find(entry.name));
    std::vector<float> values;
    if (reason.empty()) {
      values.resize(entry.shape[0]);
      widen(FloatDtype::f32, file->bytes(entry).data(), values);
      reason = bad_value(values);
    }
    if (!reason.empty()) {
      return fail(StatusCode::invalid_argument, shown_place(path, entry.name) + ": " + reason);
    }
    out.emplace(entry.name, std::move(values));
  }
  return out;
}

}  // namespace ecco
