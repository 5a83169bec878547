// SPDX-License-Identifier: MIT
// A Llama-type decoder whose weights stay as the file stores them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/parallel.hpp"
#include "llama/config.hpp"
#include "llama/kv_cache.hpp"
#include "llama/linear.hpp"

namespace llama {

/// What flows through a model beside its weights. The default is the ISCA 2025 paper's W4A16 (with
/// binary32 in place of half); a8_activations and a KV cache in h4 are its W4A8KV4.
struct Setting {
  bool a8_activations = false;               ///< every matrix's input goes through A8 blocks
  std::optional<ecco::Codec> kv_cache = {};  ///< blocks of keys and values; none: binary32
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
  /// `directory` holds config.json and the model. Errors: those of read_config, ecco::Model::open,
  /// Linear::find and ecco::KvCodec::create.
  static ecco::Result<Transformer> load(const std::string& directory, ecco::ParallelFor parallel,
                                        const Setting& setting = {});

  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] const Setting& setting() const noexcept { return setting_; }
  [[nodiscard]] WeightSize weight_size() const;

  /// An empty cache with room for `capacity` tokens. Error: out_of_memory.
  [[nodiscard]] ecco::Result<KvCache> new_cache(std::size_t capacity) const {
    return KvCache::create(config_, capacity, kv_codec_);
  }

  /// Runs `tokens` as the continuation of the cache and appends them to it. `hidden`: tokens x
  /// hidden_size, the last layer's output after the final norm, as the head takes it.
  /// Preconditions: ids below vocab_size, room in the cache, at least one token. Errors: those of
  /// the products; not_finite (in what goes into blocks). After an error the cache must be
  /// cleared.
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
  Setting setting_;
  std::optional<ecco::KvCodec> kv_codec_;
  const ecco::ModelTensor* embedding_ = nullptr;
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;
  Linear head_;
};

}  // namespace llama
