// SPDX-License-Identifier: MIT
#include "llama/transformer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>
#include <utility>

#include "ecco/a8.hpp"
#include "ecco/online.hpp"

namespace llama {
namespace {

using ecco::MatrixView;
using ecco::Status;
using ecco::StatusCode;

/// Below so many values to decode waking other threads costs more than it gains.
constexpr std::size_t kSerialValues = std::size_t{1} << 16;
const ecco::ParallelFor kSerial = ecco::serial;
constexpr const char* kEmbedding = "model.embed_tokens.weight";

/// Rows begin .. begin + count - 1.
MatrixView<float> rows_of(MatrixView<float> view, std::size_t begin, std::size_t count) {
  return {view.row(begin), count, view.cols, view.row_stride};
}

ecco::Result<std::vector<float>> read_norm(const ecco::Model& model, const std::string& name,
                                           std::size_t size) {
  const auto tensor = find_tensor(model, name, {size});
  if (!tensor) return ecco::fail(tensor.error());
  std::vector<float> values(size);
  Status status = ecco::read_rows(model, **tensor, 0, ecco::dense_view(values.data(), 1, size));
  if (!status) return ecco::fail(std::move(status));
  return values;
}

/// out = x / rms(x) * weights.
void rms_norm(const float* x, const std::vector<float>& weights, float epsilon, float* out) {
  double squares = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) squares += double{x[i]} * double{x[i]};
  const double mean = squares / static_cast<double>(weights.size());
  const auto factor = static_cast<float>(1.0 / std::sqrt(mean + double{epsilon}));
  for (std::size_t i = 0; i < weights.size(); ++i) out[i] = x[i] * factor * weights[i];
}

/// Cosines and sines of a range of positions; pair i of a head turns by position *
/// theta^(-2i/dim).
class Rotations {
 public:
  Rotations(const Config& config, std::size_t first, std::size_t count)
      : half_(config.head_dim / 2), cosines_(count, half_), sines_(count, half_) {
    for (std::size_t i = 0; i < half_; ++i) {
      const double frequency =
          std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(half_));
      for (std::size_t t = 0; t < count; ++t) {
        const double angle = static_cast<double>(first + t) * frequency;
        cosines_.view().row(t)[i] = static_cast<float>(std::cos(angle));
        sines_.view().row(t)[i] = static_cast<float>(std::sin(angle));
      }
    }
  }

  /// Turns every head of one token; the partner of value i is value i + dim / 2.
  void apply(std::size_t token, float* heads, std::size_t count) const {
    const float* cosine = cosines_.view().row(token);
    const float* sine = sines_.view().row(token);
    for (std::size_t h = 0; h < count; ++h, heads += 2 * half_) {
      for (std::size_t i = 0; i < half_; ++i) {
        const float a = heads[i];
        const float b = heads[i + half_];
        heads[i] = a * cosine[i] - b * sine[i];
        heads[i + half_] = b * cosine[i] + a * sine[i];
      }
    }
  }

 private:
  std::size_t half_;
  Matrix cosines_;
  Matrix sines_;
};

/// gate = silu(gate) * up.
void swiglu(float* gate, const float* up, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

/// x as it comes out of A8 blocks. Error: not_finite.
Status through_a8(float* x, std::size_t count) {
  if (!std::all_of(x, x + count, [](float value) { return std::isfinite(value); })) {
    return {StatusCode::not_finite, "an input of a matrix is not finite"};
  }
  constexpr std::size_t kGroup = ecco::a8::kValues;
  std::vector<std::uint8_t> blocks((count + kGroup - 1) / kGroup * kGroup);
  Status status = ecco::encode_a8({x, count}, 1.0f, blocks);
  if (status) ecco::a8::decode_row(blocks.data(), count, 1.0f, x);
  return status;
}

}  // namespace

/// One run of a batch of tokens through the layers.
struct Transformer::Pass {
  Pass(const Transformer& model_, KvCache& cache_, const Kernels& kernels_,
       const Observer& observer_, std::size_t tokens_)
      : model(model_),
        config(model_.config_),
        cache(cache_),
        kernels(kernels_),
        observer(observer_),
        tokens(tokens_),
        first(cache.size()),
        rotations(config, first, tokens),
        x(tokens, config.hidden_size),
        normed(tokens, config.hidden_size),
        added(tokens, config.hidden_size),
        q(tokens, config.q_size()),
        k(tokens, config.kv_size()),
        v(tokens, config.kv_size()),
        attended(tokens, config.q_size()),
        gate(tokens, config.intermediate_size),
        up(tokens, config.intermediate_size) {}

  Status embed(std::span<const std::uint32_t> ids) {
    for (std::size_t t = 0; t < tokens; ++t) {
      Status status =
          ecco::read_rows(model.model_, *model.embedding_, ids[t], rows_of(x.view(), t, 1));
      if (!status) return status;
    }
    return {};
  }

  Status run_layer(std::size_t index) {
    const Layer& layer = model.layers_[index];
    Status status = normalize(layer.attention_norm, normed.view());
    if (status) status = multiply(layer.q, normed, q.view());
    if (status) status = multiply(layer.k, normed, k.view());
    if (status) status = multiply(layer.v, normed, v.view());
    if (status) status = attend(index);
    if (status) status = multiply(layer.o, attended, added.view());
    if (!status) return status;
    add();

    status = normalize(layer.mlp_norm, normed.view());
    if (status) status = multiply(layer.gate, normed, gate.view());
    if (status) status = multiply(layer.up, normed, up.view());
    if (!status) return status;
    for_each_token([&](std::size_t t) {
      swiglu(gate.view().row(t), up.view().row(t), config.intermediate_size);
    });
    status = as_input(gate.view());
    if (status) status = multiply(layer.down, gate, added.view());
    if (status) add();
    return status;
  }

  /// The input of the matrices after a norm.
  Status normalize(const std::vector<float>& weights, MatrixView<float> out) const {
    for_each_token([&](std::size_t t) {
      rms_norm(x.view().row(t), weights, config.rms_norm_eps, out.row(t));
    });
    return as_input(out);
  }

  /// Makes of activations what the setting lets a matrix see.
  Status as_input(MatrixView<float> activations) const {
    if (!model.setting_.a8_activations) return {};
    std::mutex mutex;
    Status failure;
    for_each_token([&](std::size_t t) {
      Status status = through_a8(activations.row(t), activations.cols);
      if (status) return;
      const std::lock_guard lock(mutex);
      failure = std::move(status);
    });
    return failure;
  }

  Status multiply(const Linear& linear, const Matrix& inputs, MatrixView<float> out) const {
    if (observer) observer(linear, inputs.view());
    return linear.multiply(inputs.view(), out, model.parallel_);
  }

  /// Every query head of every token looks at the tokens up to its own, as the cache has them.
  Status attend(std::size_t index) {
    for_each_token([&](std::size_t t) {
      rotations.apply(t, q.view().row(t), config.heads);
      rotations.apply(t, k.view().row(t), config.kv_heads);
    });
    const ecco::ParallelFor& parallel = model.parallel_;
    Status status = cache.append(index, read_only(k.view()), read_only(v.view()),
                                 tokens == 1 ? kSerial : parallel);
    if (!status) return status;
    const bool small = (first + tokens) * config.kv_size() < kSerialValues;
    const auto layer = cache.read(index, small ? kSerial : parallel);
    if (!layer) return layer.error();
    for_each_token([&](std::size_t t) { attend(*layer, t); });
    return as_input(attended.view());
  }

  void attend(const KvCache::LayerView& layer, std::size_t t) {
    const std::size_t count = first + t + 1;
    std::vector<float> scores(count);
    for (std::size_t head = 0; head < config.heads; ++head) {
      const std::size_t kv = head / (config.heads / config.kv_heads) * config.head_dim;
      const std::size_t at = head * config.head_dim;
      kernels.attend({.query = q.view().row(t) + at,
                      .keys = layer.keys.data + kv,
                      .values = layer.values.data + kv,
                      .stride = config.kv_size(),
                      .count = count,
                      .dim = config.head_dim,
                      .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim)),
                      .scores = scores.data(),
                      .out = attended.view().row(t) + at});
    }
  }

  void add() {
    for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += added.values[i];
  }

  template <typename Body>
  void for_each_token(const Body& body) const {
    const auto range = [&](std::size_t begin, std::size_t end) {
      for (std::size_t t = begin; t < end; ++t) body(t);
    };
    if (tokens == 1) return range(0, 1);
    model.parallel_(tokens, range);
  }

  const Transformer& model;
  const Config& config;
  KvCache& cache;
  const Kernels& kernels;
  const Observer& observer;
  std::size_t tokens;
  std::size_t first;  // position of the first one
  Rotations rotations;
  Matrix x, normed, added, q, k, v, attended, gate, up;
};

ecco::Result<Transformer> Transformer::load(const std::string& directory,
                                            ecco::ParallelFor parallel, const Setting& setting) {
  auto config = read_config(directory);
  if (!config) return ecco::fail(config.error());
  auto model = ecco::Model::open(directory, ecco::Checksums::check);
  if (!model) return ecco::fail(model.error());
  const char* head_name = config->tied_head ? kEmbedding : "lm_head.weight";
  auto head = Linear::find(*model, head_name, config->vocab_size, config->hidden_size);
  if (!head) return ecco::fail(head.error().code(), directory + ": " + head.error().message());
  Transformer transformer(std::move(*config), std::move(*model), std::move(parallel),
                          std::move(*head));
  transformer.setting_ = setting;
  if (setting.kv_cache) {
    auto codec = ecco::KvCodec::create(*setting.kv_cache);
    if (!codec) return ecco::fail(codec.error());
    transformer.kv_codec_ = std::move(*codec);
  }
  if (Status status = transformer.load_layers(); !status) {
    return ecco::fail(status.code(), directory + ": " + status.message());
  }
  return transformer;
}

Status Transformer::load_layers() {
  const auto embedding =
      find_tensor(model_, kEmbedding, {config_.vocab_size, config_.hidden_size});
  if (!embedding) return embedding.error();
  embedding_ = *embedding;
  auto final_norm = read_norm(model_, "model.norm.weight", config_.hidden_size);
  if (!final_norm) return final_norm.error();
  final_norm_ = std::move(*final_norm);

  const std::size_t hidden = config_.hidden_size;
  for (std::size_t i = 0; i < config_.layers; ++i) {
    Status status;
    const auto linear = [&](const char* name, std::size_t rows, std::size_t cols) {
      auto found =
          Linear::find(model_, fmt::format("model.layers.{}.{}.weight", i, name), rows, cols);
      if (!found && status) status = found.error();
      return found;
    };
    const auto norm = [&](const char* name) {
      auto found = read_norm(model_, fmt::format("model.layers.{}.{}.weight", i, name), hidden);
      if (!found && status) status = found.error();
      return found;
    };
    auto attention_norm = norm("input_layernorm");
    auto q = linear("self_attn.q_proj", config_.q_size(), hidden);
    auto k = linear("self_attn.k_proj", config_.kv_size(), hidden);
    auto v = linear("self_attn.v_proj", config_.kv_size(), hidden);
    auto o = linear("self_attn.o_proj", hidden, config_.q_size());
    auto mlp_norm = norm("post_attention_layernorm");
    auto gate = linear("mlp.gate_proj", config_.intermediate_size, hidden);
    auto up = linear("mlp.up_proj", config_.intermediate_size, hidden);
    auto down = linear("mlp.down_proj", hidden, config_.intermediate_size);
    if (!status) return status;
    layers_.push_back({std::move(*attention_norm), std::move(*mlp_norm), std::move(*q),
                       std::move(*k), std::move(*v), std::move(*o), std::move(*gate),
                       std::move(*up), std::move(*down)});
  }
  return {};
}

Status Transformer::forward(std::span<const std::uint32_t> tokens, KvCache& cache,
                            MatrixView<float> hidden, const Observer& observer) const {
  const auto kernels = active_kernels();
  if (!kernels) return kernels.error();
  Pass pass(*this, cache, **kernels, observer, tokens.size());
  Status status = pass.embed(tokens);
  for (std::size_t i = 0; i < layers_.size() && status; ++i) status = pass.run_layer(i);
  return status ? pass.normalize(final_norm_, hidden) : status;
}

Status Transformer::logits(MatrixView<const float> hidden, MatrixView<float> out) const {
  return head_.multiply(hidden, out, parallel_);
}

std::vector<const Linear*> Transformer::matrices() const {
  std::vector<const Linear*> out = {&head_};
  for (const Layer& layer : layers_) {
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      out.push_back(linear);
    }
  }
  return out;
}

WeightSize Transformer::weight_size() const {
  WeightSize size;
  std::uint64_t values = 0;
  std::uint64_t matrix_bytes = 0;
  std::set<const void*> tables;  // shared ones count once
  for (const Linear* linear : matrices()) {
    values += linear->tensor().values();
    matrix_bytes += linear->tensor().stored.size();
    if (!linear->blocks()) continue;
    const ecco::PatternTableView& table = linear->blocks()->table();
    if (!tables.insert(table.centroids.data()).second) continue;
    size.bytes += table.centroids.size_bytes() + table.codebooks.size_bytes();
  }
  size.bytes += matrix_bytes;
  if (!config_.tied_head) size.bytes += embedding_->stored.size();
  const std::size_t norms = 2 * layers_.size() + 1;
  size.bytes += norms * config_.hidden_size * sizeof(float);
  size.bits_per_weight =
      model_.compressed() ? model_.bits_per_weight()
                          : 8.0 * static_cast<double>(matrix_bytes) / static_cast<double>(values);
  return size;
}

}  // namespace llama
