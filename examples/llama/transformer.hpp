// SPDX-License-Identifier: MIT
// A Llama-type decoder whose weights stay as the file stores them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/parallel.hpp"
#include "llama/config.hpp"
#include "llama/linear.hpp"

namespace llama {

/// Keys (rotated) and values of the tokens so far, binary32.
class KvCache {
 public:
  KvCache(const Config& config, std::size_t capacity);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }  ///< tokens
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  void clear() noexcept { size_ = 0; }
  /// Makes the tokens that were written behind size() part of the cache.
  void append(std::size_t tokens) noexcept { size_ += tokens; }
  /// One layer: capacity x (kv_heads * head_dim).
  [[nodiscard]] ecco::MatrixView<float> keys(std::size_t layer) noexcept;
  [[nodiscard]] ecco::MatrixView<float> values(std::size_t layer) noexcept;

 private:
  std::size_t width_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::vector<float> keys_;  ///< [layer][token][head][dim]
  std::vector<float> values_;
};

/// Told the inputs (batch x cols) of every product of the layers, in their order.
using Observer = std::function<void(const Linear&, ecco::MatrixView<const float> inputs)>;

/// What the weights take, as they are kept.
struct WeightSize {
  std::uint64_t bytes = 0;       ///< mapped tensors in use, their tables, widened norms
  double bits_per_weight = 0.0;  ///< of the compressed matrices; of all where none is compressed
};

/// Immutable once loaded; passes may run concurrently on caches of their own.
class Transformer {
 public:
  /// `directory` holds config.json and the model. Errors: those of read_config, ecco::Model::open
  /// and Linear::find.
  static ecco::Result<Transformer> load(const std::string& directory, ecco::ParallelFor parallel);

  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] WeightSize weight_size() const;

  /// Runs `tokens` as the continuation of the cache and appends them to it. `hidden`: tokens x
  /// hidden_size, the last layer's output after the final norm. Preconditions: ids below
  /// vocab_size, room in the cache, at least one token. Errors: those of the products.
  ecco::Status forward(std::span<const std::uint32_t> tokens, KvCache& cache,
                       ecco::MatrixView<float> hidden, const Observer& observer = {}) const;
  /// Logits of rows of `hidden`; `out` is rows x vocab_size.
  ecco::Status logits(ecco::MatrixView<const float> hidden, ecco::MatrixView<float> out) const;
  [[nodiscard]] const Linear& head() const noexcept { return head_; }
  /// The head and all matrices of the layers.
  [[nodiscard]] std::vector<const Linear*> matrices() const;

 private:
  struct Layer {
    std::vector<float> attention_norm, mlp_norm;
    Linear q, k, v, o, gate, up, down;
  };
  struct Pass;

  Transformer(Config config, ecco::Model model, ecco::ParallelFor parallel, Linear head)
      : config_(std::move(config)),
        model_(std::move(model)),
        parallel_(std::move(parallel)),
        head_(std::move(head)) {}
  ecco::Status load_layers();

  Config config_;
  ecco::Model model_;
  ecco::ParallelFor parallel_;
  const ecco::ModelTensor* embedding_ = nullptr;
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;
  Linear head_;
};

}  // namespace llama
