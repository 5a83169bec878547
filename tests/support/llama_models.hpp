// SPDX-License-Identifier: MIT
// Small random Llama-type models on disk, and a plain decoder in double to compare engines with.
#pragma once

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/types.hpp"

namespace ecco::test {

/// A directory that goes away with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "ecco_test.XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// Shapes that are multiples of nothing: two query heads share a key head, K is not a multiple of
/// 128 or 8 anywhere.
inline nlohmann::json tiny_config() {
  return {{"model_type", "llama"},  {"hidden_size", 20},        {"intermediate_size", 131},
          {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"head_dim", 6},          {"vocab_size", 37},         {"max_position_embeddings", 9},
          {"rms_norm_eps", 1e-5},   {"rope_theta", 100.0},      {"tie_word_embeddings", true}};
}

/// The same with rows just long enough that blocks halve every matrix.
inline nlohmann::json compressible_config() {
  nlohmann::json config = tiny_config();
  config["hidden_size"] = 68;
  config["head_dim"] = 18;
  return config;
}

/// Names and shapes of the tensors that a configuration asks for.
inline std::map<std::string, std::vector<std::size_t>> tensor_shapes(
    const nlohmann::json& config) {
  const std::size_t hidden = config["hidden_size"];
  const std::size_t ffn = config["intermediate_size"];
  const std::size_t vocab = config["vocab_size"];
  const std::size_t dim = config["head_dim"];
  const std::size_t q = config["num_attention_heads"].get<std::size_t>() * dim;
  const std::size_t kv = config["num_key_value_heads"].get<std::size_t>() * dim;
  std::map<std::string, std::vector<std::size_t>> shapes;
  shapes["model.embed_tokens.weight"] = {vocab, hidden};
  shapes["model.norm.weight"] = {hidden};
  if (!config["tie_word_embeddings"]) shapes["lm_head.weight"] = {vocab, hidden};
  for (std::size_t i = 0; i < config["num_hidden_layers"]; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    shapes[layer + "input_layernorm.weight"] = {hidden};
    shapes[layer + "post_attention_layernorm.weight"] = {hidden};
    shapes[layer + "self_attn.q_proj.weight"] = {q, hidden};
    shapes[layer + "self_attn.k_proj.weight"] = {kv, hidden};
    shapes[layer + "self_attn.v_proj.weight"] = {kv, hidden};
    shapes[layer + "self_attn.o_proj.weight"] = {hidden, q};
    shapes[layer + "mlp.gate_proj.weight"] = {ffn, hidden};
    shapes[layer + "mlp.up_proj.weight"] = {ffn, hidden};
    shapes[layer + "mlp.down_proj.weight"] = {hidden, ffn};
  }
  return shapes;
}

/// Writes config.json and model.safetensors with random weights of one dtype.
inline void write_model(const std::string& directory, const nlohmann::json& config,
                        const std::string& dtype = "F16") {
  std::filesystem::create_directories(directory);
  write_text(directory + "/config.json", config.dump());
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  nlohmann::json header;
  std::string data;
  for (const auto& [name, shape] : tensor_shapes(config)) {
    const std::size_t begin = data.size();
    const std::size_t count = shape.size() == 2 ? shape[0] * shape[1] : shape[0];
    for (std::size_t i = 0; i < count; ++i) {
      const float value = shape.size() == 1 ? 1.0f + 0.3f * normal(random) : 0.4f * normal(random);
      std::uint32_t bits = float_bits(value);
      if (dtype == "F16") bits = to_half(value).bits;
      if (dtype == "BF16") bits = to_bfloat16(value).bits;
      for (std::size_t b = 0; b < (dtype == "F32" ? 4u : 2u); ++b) {
        data += static_cast<char>(static_cast<unsigned char>(bits >> (8 * b)));
      }
    }
    header[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string json = header.dump();
  std::string length;
  for (std::size_t b = 0; b < 8; ++b) {
    length += static_cast<char>(static_cast<unsigned char>(json.size() >> (8 * b)));
  }
  write_text(directory + "/model.safetensors", length + json + data);
}

/// Llama as its definition reads, one token after the other, in double.
class ReferenceDecoder {
 public:
  using Vector = std::vector<double>;
  using Rows = std::vector<Vector>;
  using Change = std::function<void(Vector&)>;

  /// Applied to every matrix's input, and to keys and values before they are kept.
  Change change_input = [](Vector&) {};
  Change change_cached = [](Vector&) {};

  ReferenceDecoder(Model model, nlohmann::json config)
      : model_(std::move(model)), config_(std::move(config)) {}

  /// Logits at every position.
  Rows logits(const std::vector<std::uint32_t>& tokens) {
    keys_.clear();
    values_.clear();
    Rows out;
    for (std::size_t t = 0; t < tokens.size(); ++t) out.push_back(step(tokens[t], t));
    return out;
  }

  /// Mean square of each matrix's inputs over all tokens so far.
  [[nodiscard]] std::map<std::string, Vector> mean_squares() const {
    std::map<std::string, Vector> out = squares_;
    for (auto& [name, sums] : out) {
      for (double& sum : sums) sum /= static_cast<double>(tokens_);
    }
    return out;
  }

 private:
  Rows weights(const std::string& name) const {
    const ModelTensor& tensor = *model_.find(name);
    std::vector<float> values(tensor.values());
    const Status status =
        read_rows(model_, tensor, 0, dense_view(values.data(), tensor.rows(), tensor.cols()));
    if (!status) throw std::runtime_error(status.message());
    Rows rows;
    for (std::size_t r = 0; r < tensor.rows(); ++r) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(r * tensor.cols());
      rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(tensor.cols()));
    }
    return rows;
  }

  Vector multiply(const std::string& name, Vector x) {
    change_input(x);
    Vector& squares = squares_[name];
    squares.resize(x.size());
    for (std::size_t k = 0; k < x.size(); ++k) squares[k] += x[k] * x[k];
    Vector y;
    for (const Vector& row : weights(name)) {
      double sum = 0.0;
      for (std::size_t k = 0; k < x.size(); ++k) sum += row[k] * x[k];
      y.push_back(sum);
    }
    return y;
  }

  Vector normalize(const std::string& name, const Vector& x) const {
    double sum = 0.0;
    for (const double value : x) sum += value * value;
    const double rms =
        std::sqrt(sum / static_cast<double>(x.size()) + config_["rms_norm_eps"].get<double>());
    Vector y = weights(name)[0];
    for (std::size_t i = 0; i < x.size(); ++i) y[i] *= x[i] / rms;
    return y;
  }

  void rotate(Vector& heads, std::size_t position) const {
    const std::size_t dim = config_["head_dim"];
    for (std::size_t i = 0; i < heads.size(); ++i) {
      const std::size_t pair = i % dim;
      if (pair >= dim / 2) continue;
      const double angle = static_cast<double>(position) *
                           std::pow(config_["rope_theta"].get<double>(),
                                    -2.0 * static_cast<double>(pair) / static_cast<double>(dim));
      const double a = heads[i];
      const double b = heads[i + dim / 2];
      heads[i] = a * std::cos(angle) - b * std::sin(angle);
      heads[i + dim / 2] = b * std::cos(angle) + a * std::sin(angle);
    }
  }

  Vector attend(const Vector& q, const Rows& keys, const Rows& values) const {
    const std::size_t dim = config_["head_dim"];
    const std::size_t group = q.size() / keys[0].size();
    Vector out(q.size());
    for (std::size_t h = 0; h < q.size() / dim; ++h) {
      const std::size_t kv = h / group * dim;
      Vector weights;
      double sum = 0.0;
      for (const Vector& key : keys) {
        double score = 0.0;
        for (std::size_t i = 0; i < dim; ++i) score += q[h * dim + i] * key[kv + i];
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
        sum += weights.back();
      }
      for (std::size_t t = 0; t < keys.size(); ++t) {
        for (std::size_t i = 0; i < dim; ++i) {
          out[h * dim + i] += weights[t] / sum * values[t][kv + i];
        }
      }
    }
    return out;
  }

  Vector step(std::uint32_t token, std::size_t position) {
    ++tokens_;
    Vector x = weights("model.embed_tokens.weight")[token];
    const auto add = [&x](const Vector& y) {
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
    };
    for (std::size_t l = 0; l < config_["num_hidden_layers"]; ++l) {
      const std::string layer = "model.layers." + std::to_string(l) + ".";
      Vector y = normalize(layer + "input_layernorm.weight", x);
      Vector q = multiply(layer + "self_attn.q_proj.weight", y);
      Vector k = multiply(layer + "self_attn.k_proj.weight", y);
      rotate(q, position);
      rotate(k, position);
      Vector v = multiply(layer + "self_attn.v_proj.weight", y);
      change_cached(k);
      change_cached(v);
      keys_[l].push_back(k);
      values_[l].push_back(v);
      add(multiply(layer + "self_attn.o_proj.weight", attend(q, keys_[l], values_[l])));
      y = normalize(layer + "post_attention_layernorm.weight", x);
      Vector gate = multiply(layer + "mlp.gate_proj.weight", y);
      const Vector up = multiply(layer + "mlp.up_proj.weight", y);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      add(multiply(layer + "mlp.down_proj.weight", gate));
    }
    return multiply(
        config_["tie_word_embeddings"] ? "model.embed_tokens.weight" : "lm_head.weight",
        normalize("model.norm.weight", x));
  }

  Model model_;
  nlohmann::json config_;
  std::map<std::size_t, Rows> keys_, values_;  // by layer
  std::map<std::string, Vector> squares_;
  std::size_t tokens_ = 0;
};

}  // namespace ecco::test
