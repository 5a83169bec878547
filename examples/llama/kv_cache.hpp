// SPDX-License-Identifier: MIT
// Keys and values of the tokens so far, as binary32 or as blocks.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ecco/h4_statistics.hpp"
#include "ecco/kv_page.hpp"
#include "ecco/parallel.hpp"
#include "llama/config.hpp"

namespace llama {

/// Shares of the codes of H4 blocks, keys and values apart.
struct KvStatistics {
  ecco::h4::Statistics keys;
  ecco::h4::Statistics values;
};

/// Keys are kept as attention reads them, so rotated: that is what a compressor between the
/// processor and its memory sees (the ISCA 2025 paper's place), and nothing is left to do when
/// they are read.
class KvCache {
 public:
  /// Room for `capacity` tokens in every layer. `codec`: of the blocks; without it, binary32.
  /// Error: out_of_memory.
  static ecco::Result<KvCache> create(const Config& config, std::size_t capacity,
                                      const std::optional<ecco::KvCodec>& codec);

  /// Tokens that all layers have.
  [[nodiscard]] std::size_t size() const noexcept { return layers_.back().values.size(); }
  void clear() noexcept;
  /// Bytes that keys and values take in memory, for all of the capacity. What attention reads
  /// is decoded beside them, one layer at a time.
  [[nodiscard]] std::size_t bytes() const noexcept;

  /// Puts keys and values of new tokens (rows of kv_size values) behind those of a layer. Errors:
  /// those of ecco::KvPage::append.
  ecco::Status append(std::size_t layer, ecco::MatrixView<const float> keys,
                      ecco::MatrixView<const float> values, const ecco::ParallelFor& parallel);

  struct LayerView {
    ecco::MatrixView<const float> keys;
    ecco::MatrixView<const float> values;
  };
  /// All keys and values of a layer; valid until the next call of a function that is not const.
  ecco::Result<LayerView> read(std::size_t layer, const ecco::ParallelFor& parallel);

  /// Of all blocks; nothing unless they are H4's.
  [[nodiscard]] std::optional<KvStatistics> statistics(const ecco::ParallelFor& parallel) const;

 private:
  /// Keys, or values, of one layer.
  class Store {
   public:
    static ecco::Result<Store> create(std::size_t width, std::size_t capacity,
                                      const std::optional<ecco::KvCodec>& codec);
    [[nodiscard]] std::size_t size() const noexcept { return page_ ? page_->size() : size_; }
    [[nodiscard]] const std::optional<ecco::KvPage>& page() const noexcept { return page_; }
    [[nodiscard]] std::size_t bytes() const noexcept;
    void clear() noexcept;
    ecco::Status append(ecco::MatrixView<const float> rows, const ecco::ParallelFor& parallel);
    /// Decodes into `scratch` where necessary.
    ecco::Result<ecco::MatrixView<const float>> read(std::vector<float>& scratch,
                                                     const ecco::ParallelFor& parallel) const;

   private:
    std::size_t width_ = 0;
    std::size_t size_ = 0;
    std::vector<float> floats_;  ///< of the whole capacity, unless there is a page
    std::optional<ecco::KvPage> page_;
  };
  struct Layer {
    Store keys;
    Store values;
  };

  KvCache() = default;

  std::vector<Layer> layers_;
  std::vector<float> keys_;  ///< decoded ones of one layer
  std::vector<float> values_;
};

}  // namespace llama
