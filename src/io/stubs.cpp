// SPDX-License-Identifier: MIT
// Placeholders until the writing half exists.
#include <cmath>

#include "ecco/model.hpp"

namespace ecco {

Result<CompressReport> compress_model(const std::string&, const std::string&,
                                      const ModelCompressOptions&, const ParallelFor&,
                                      const Progress&) {
  return fail(StatusCode::unsupported, "not implemented");
}
Status decompress_model(const std::string&, const std::string&, const ModelDecompressOptions&,
                        const ParallelFor&, const Progress&) {
  return {StatusCode::unsupported, "not implemented"};
}
double TensorError::rmse() const noexcept { return std::sqrt(squared_error / squared_signal); }
double TensorError::snr_db() const noexcept {
  return 10.0 * std::log10(squared_signal / squared_error);
}
Result<std::vector<TensorError>> compare_models(const Model&, const Model&, const ParallelFor&,
                                                const Progress&) {
  return fail(StatusCode::unsupported, "not implemented");
}
Result<std::vector<Defect>> verify_model(const std::string&, const ParallelFor&, const Progress&) {
  return fail(StatusCode::unsupported, "not implemented");
}

}  // namespace ecco
