// SPDX-License-Identifier: MIT
// examples/llama against a plain decoder in double, against figures computed with PyTorch and
// NumPy (tests/data/model), and against itself run in other ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ecco/a8.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/safetensors.hpp"
#include "ecco/standard_tables.hpp"
#include "llama/eval.hpp"
#include "llama/files.hpp"
#include "llama/generate.hpp"
#include "llama/importance.hpp"
#include "llama/tokenizer.hpp"
#include "llama/tokens.hpp"
#include "support/llama_models.hpp"

namespace {

using ecco::StatusCode;
using ecco::test::compressible_config;
using ecco::test::ReferenceDecoder;
using ecco::test::TemporaryDirectory;
using ecco::test::tiny_config;
using ecco::test::write_model;
using ecco::test::write_text;
using llama::Setting;
using llama::Transformer;
using nlohmann::json;

const std::string kModel = ECCO_TEST_DATA "/model";
const std::vector<std::uint32_t> kTinyTokens = {3, 36, 0, 17, 5, 5, 21, 8, 30};

const Setting kW4A8KV4 = {true, ecco::Codec::h4};

Transformer load(const std::string& directory, const Setting& setting = {},
                 ecco::ParallelFor parallel = ecco::serial) {
  auto model = Transformer::load(directory, std::move(parallel), setting);
  if (!model) throw std::runtime_error(model.error().message());
  return std::move(*model);
}

void compress(const std::string& in, const std::string& out, ecco::Codec codec = ecco::Codec::p4) {
  ecco::ModelCompressOptions options;
  options.codec = codec;
  options.effort = ecco::Effort::fast;
  const auto report = ecco::compress_model(in, out, options);
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_LT(report->stored_bytes, report->source_bytes);
}

ReferenceDecoder reference(const std::string& directory, const json& config) {
  auto model = ecco::Model::open(directory);
  if (!model) throw std::runtime_error(model.error().message());
  return {std::move(*model), config};
}

/// Logits of every position, the tokens given in pieces of `piece`.
llama::Matrix run(const Transformer& model, std::span<const std::uint32_t> tokens,
                  std::size_t piece) {
  const llama::Config& config = model.config();
  llama::KvCache cache = model.new_cache(tokens.size()).value();
  llama::Matrix hidden(tokens.size(), config.hidden_size);
  llama::Matrix logits(tokens.size(), config.vocab_size);
  for (std::size_t t = 0; t < tokens.size(); t += piece) {
    const std::size_t count = std::min(piece, tokens.size() - t);
    const auto rows = [&](llama::Matrix& m) {
      return ecco::MatrixView<float>{m.view().row(t), count, m.cols, m.cols};
    };
    EXPECT_TRUE(model.forward(tokens.subspan(t, count), cache, rows(hidden)));
    EXPECT_TRUE(model.logits(llama::read_only(rows(hidden)), rows(logits)));
  }
  EXPECT_EQ(cache.size(), tokens.size());
  return logits;
}

void expect_close(const llama::Matrix& got, const ReferenceDecoder::Rows& want) {
  ASSERT_EQ(got.rows, want.size());
  for (std::size_t t = 0; t < got.rows; ++t) {
    ASSERT_EQ(got.cols, want[t].size());
    for (std::size_t i = 0; i < got.cols; ++i) {
      ASSERT_NEAR(got.view().row(t)[i], want[t][i], 2e-4) << "token " << t << ", logit " << i;
    }
  }
}

std::vector<std::uint32_t> held_out_tokens() {
  return llama::read_tokens(kModel + "/eval_tokens.u16", 4096).value();
}

// The plain decoder.

TEST(Transformer, MatchesThePlainDecoderForEveryTypeOfWeights) {
  for (const char* dtype : {"F16", "BF16", "F32"}) {
    for (const bool tied : {true, false}) {
      SCOPED_TRACE(std::string(dtype) + (tied ? " tied" : " untied"));
      json config = tiny_config();
      config["tie_word_embeddings"] = tied;
      const TemporaryDirectory directory;
      write_model(directory / "model", config, dtype);
      expect_close(run(load(directory / "model"), kTinyTokens, kTinyTokens.size()),
                   reference(directory / "model", config).logits(kTinyTokens));
    }
  }
}

TEST(Transformer, MatchesThePlainDecoderOnCompressedWeights) {
  for (const ecco::Codec codec : {ecco::Codec::p4, ecco::Codec::h4}) {
    const TemporaryDirectory directory;
    write_model(directory / "model", compressible_config());
    compress(directory / "model", directory / "blocks", codec);
    const Transformer model = load(directory / "blocks");
    for (const llama::Linear* linear : model.matrices()) {
      ASSERT_TRUE(linear->blocks());
      EXPECT_EQ(linear->blocks()->codec(), codec);
    }
    const llama::Matrix logits = run(model, kTinyTokens, kTinyTokens.size());
    expect_close(logits,
                 reference(directory / "blocks", compressible_config()).logits(kTinyTokens));
    EXPECT_EQ(run(model, kTinyTokens, 1).values, logits.values);
  }
}

TEST(Transformer, GivesTheSameBitsTokenByToken) {
  const TemporaryDirectory directory;
  write_model(directory / "model", compressible_config());
  compress(directory / "model", directory / "p4");
  for (const std::string& path : {directory / "model", directory / "p4"}) {
    const Transformer model = load(path);
    const llama::Matrix whole = run(model, kTinyTokens, kTinyTokens.size());
    EXPECT_EQ(run(model, kTinyTokens, 1).values, whole.values);
    EXPECT_EQ(run(model, kTinyTokens, 4).values, whole.values);
  }
  const Transformer model = load(kModel);
  const auto tokens = held_out_tokens();
  const std::span window(tokens.data(), 40);
  EXPECT_EQ(run(model, window, 1).values, run(model, window, 40).values);
}

TEST(Evaluate, MatchesThePlainDecoder) {
  const TemporaryDirectory directory;
  write_model(directory / "model", tiny_config());
  compress(directory / "model", directory / "p4");
  const auto log_softmax = [](std::vector<double> z) {
    double sum = 0.0;
    for (const double value : z) sum += std::exp(value);
    for (double& value : z) value -= std::log(sum);
    return z;
  };
  std::vector<std::uint32_t> text = kTinyTokens;  // two windows and a rest
  text.insert(text.end(), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  ReferenceDecoder p_decoder = reference(directory / "model", tiny_config());
  ReferenceDecoder q_decoder = reference(directory / "p4", tiny_config());
  double loss = 0.0;
  double divergence = 0.0;
  for (const std::size_t begin : {std::size_t{0}, std::size_t{9}}) {
    const std::vector<std::uint32_t> window(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                            text.begin() + static_cast<std::ptrdiff_t>(begin + 9));
    const auto p_logits = p_decoder.logits(window);
    const auto q_logits = q_decoder.logits(window);
    for (std::size_t t = 0; t < 8; ++t) {
      const auto p = log_softmax(p_logits[t]);
      const auto q = log_softmax(q_logits[t]);
      loss -= q[window[t + 1]];
      for (std::size_t i = 0; i < p.size(); ++i) divergence += std::exp(p[i]) * (p[i] - q[i]);
    }
  }
  const Transformer model = load(directory / "p4");
  const Transformer original = load(directory / "model");
  ASSERT_EQ(llama::count_windows(model.config(), text.size(), 0).value(), 2u);
  const auto quality = llama::evaluate(model, &original, text, 2, ecco::serial);
  ASSERT_TRUE(quality) << quality.error().message();
  EXPECT_EQ(quality->predictions, 16u);
  EXPECT_NEAR(quality->perplexity, std::exp(loss / 16), 1e-3);
  EXPECT_NEAR(quality->kl_divergence.value(), divergence / 16, 1e-5);
  EXPECT_GT(divergence, 1e-3);
}

TEST(Importance, IsTheMeanSquareOfTheInputs) {
  for (const bool tied : {true, false}) {
    json config = tiny_config();
    config["tie_word_embeddings"] = tied;
    const TemporaryDirectory directory;
    write_model(directory / "model", config);
    const Transformer model = load(directory / "model");
    const auto importance = llama::measure_importance(model, kTinyTokens, 1);
    ASSERT_TRUE(importance) << importance.error().message();
    ASSERT_TRUE(llama::write_importance(*importance, directory / "importance", false));
    EXPECT_EQ(llama::write_importance(*importance, directory / "importance", false).code(),
              StatusCode::already_exists);
    EXPECT_TRUE(llama::write_importance(*importance, directory / "importance", true));

    ReferenceDecoder decoder = reference(directory / "model", config);
    decoder.logits(kTinyTokens);
    const auto want = decoder.mean_squares();
    const auto file = ecco::SafetensorsFile::open(directory / "importance");
    ASSERT_TRUE(file) << file.error().message();
    ASSERT_EQ(file->entries().size(), want.size());
    for (const auto& [name, squares] : want) {
      SCOPED_TRACE(name);
      const ecco::SafetensorsEntry* entry = file->find(name);
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(entry->dtype, "F32");
      ASSERT_EQ(entry->shape, std::vector<std::uint64_t>{squares.size()});
      std::vector<float> got(squares.size());
      std::memcpy(got.data(), file->bytes(*entry).data(), got.size() * sizeof(float));
      for (std::size_t k = 0; k < got.size(); ++k) {
        EXPECT_NEAR(got[k], squares[k], 1e-5 + 1e-4 * squares[k]);
      }
    }
  }
}

// Settings: what flows through the model beside its weights.

using Encode = std::function<void(const float* values, int count, float* decoded)>;

/// A row cut into groups, each through its block and back, in binary32 as the engine has it.
ReferenceDecoder::Change through_blocks(std::size_t group, const Encode& encode) {
  return [=](ReferenceDecoder::Vector& x) {
    for (std::size_t at = 0; at < x.size(); at += group) {
      const std::size_t count = std::min(group, x.size() - at);
      float values[128] = {};
      float decoded[128] = {};
      for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(x[at + i]);
      encode(values, static_cast<int>(count), decoded);
      for (std::size_t i = 0; i < count; ++i) x[at + i] = decoded[i];
    }
  };
}

void encode_a8(const float* values, int count, float* decoded) {
  std::uint8_t block[64];
  ecco::a8::encode(values, count, 1.0f, block);
  ecco::a8::decode(block, 1.0f, decoded);
}

void encode_h4(const float* values, int count, float* decoded) {
  std::uint8_t block[64];
  const ecco::h4::TableView table = ecco::standard_kv_table().h4();
  ecco::h4::encode_kv(values, count, table, 1.0f, block);
  ecco::h4::decode(block, table, 1.0f, decoded);
}

double greatest_difference(const llama::Matrix& got, const ReferenceDecoder::Rows& want) {
  double greatest = 0.0;
  for (std::size_t t = 0; t < got.rows; ++t) {
    for (std::size_t i = 0; i < got.cols; ++i) {
      greatest = std::max(greatest, std::abs(double{got.view().row(t)[i]} - want[t][i]));
    }
  }
  return greatest;
}

TEST(Setting, IsWhatThePlainDecoderDoesWithTheBlocks) {
  struct Case {
    Setting setting;
    ReferenceDecoder::Change input, cached;
    double effect;  // at least this on some logit
  };
  const auto a8 = through_blocks(64, encode_a8);
  const auto h4 = through_blocks(128, encode_h4);
  const auto none = [](ReferenceDecoder::Vector&) {};
  const Case cases[] = {{{false, ecco::Codec::h4}, none, h4, 1.0},
                        {{false, ecco::Codec::a8}, none, a8, 0.1},
                        {{true, {}}, a8, none, 0.3},
                        {kW4A8KV4, a8, h4, 1.0}};
  const TemporaryDirectory directory;
  write_model(directory / "model", compressible_config());
  compress(directory / "model", directory / "p4");
  ReferenceDecoder exact = reference(directory / "p4", compressible_config());
  const auto unchanged = exact.logits(kTinyTokens);
  for (const Case& c : cases) {
    ReferenceDecoder decoder = reference(directory / "p4", compressible_config());
    decoder.change_input = c.input;
    decoder.change_cached = c.cached;
    const llama::Matrix logits =
        run(load(directory / "p4", c.setting), kTinyTokens, kTinyTokens.size());
    expect_close(logits, decoder.logits(kTinyTokens));
    EXPECT_GT(greatest_difference(logits, unchanged), c.effect);
  }
}

TEST(Setting, GivesTheSameBitsTokenByTokenAndOnAnyThreads) {
  const ecco::ParallelFor backwards = [](std::size_t count, const auto& body) {
    for (std::size_t i = count; i-- > 0;) body(i, i + 1);
  };
  const auto tokens = held_out_tokens();
  const std::span window(tokens.data(), 12);
  for (const ecco::Codec codec : {ecco::Codec::h4, ecco::Codec::p4, ecco::Codec::a8}) {
    for (const bool a8_activations : {false, true}) {
      const Setting setting = {a8_activations, codec};
      const Transformer model = load(kModel, setting);
      const llama::Matrix whole = run(model, window, 12);
      EXPECT_EQ(run(model, window, 1).values, whole.values);
      EXPECT_EQ(run(model, window, 5).values, whole.values);
      EXPECT_EQ(run(load(kModel, setting, backwards), window, 12).values, whole.values);
    }
  }
}

TEST(KvCache, KeepsTheTokensOfEveryLayer) {
  const llama::Config config = llama::parse_config(tiny_config().dump(), "c").value();  // width 12
  const std::vector<float> rows = {0, 1, 2,  3,  4, 5, 6, 7, 8, 9, 10, 11,              //
                                   5, 4, -3, -2, 1, 0, 1, 2, 3, 4, 50, 60};
  const auto one = ecco::dense_view(rows.data(), 1, 12);
  const auto two = ecco::dense_view(rows.data(), 2, 12);
  const auto expect_near = [](ecco::MatrixView<const float> got,
                              ecco::MatrixView<const float> want, float tolerance) {
    ASSERT_EQ(got.rows, want.rows);
    for (std::size_t t = 0; t < got.rows; ++t) {
      for (std::size_t i = 0; i < 12; ++i) {
        EXPECT_NEAR(got.row(t)[i], want.row(t)[i], tolerance);
      }
    }
  };
  for (const bool blocks : {false, true}) {
    std::optional<ecco::KvCodec> codec;
    if (blocks) codec = ecco::KvCodec::create(ecco::Codec::h4).value();
    llama::KvCache cache = llama::KvCache::create(config, 3, codec).value();
    EXPECT_EQ(cache.bytes(), 2u * 2 * 3 * (blocks ? 64 : 12 * 4));
    ASSERT_TRUE(cache.append(0, one, one, ecco::serial));
    EXPECT_EQ(cache.size(), 0u);  // the other layer has none
    ASSERT_TRUE(cache.append(1, one, one, ecco::serial));
    EXPECT_EQ(cache.size(), 1u);
    cache.clear();
    EXPECT_EQ(cache.size(), 0u);
    ASSERT_TRUE(cache.append(0, one, two, ecco::serial));
    ASSERT_TRUE(cache.append(1, two, one, ecco::serial));
    // Half a step of the widest pattern, and the rest of 60 by FP8.
    const float tolerance = blocks ? 5.0f : 0.0f;
    const auto first = cache.read(0, ecco::serial).value();
    expect_near(first.keys, one, tolerance);
    expect_near(first.values, two, tolerance);
    const auto second = cache.read(1, ecco::serial).value();
    expect_near(second.keys, two, tolerance);
    expect_near(second.values, one, tolerance);
    const auto statistics = cache.statistics(ecco::serial);
    ASSERT_EQ(statistics.has_value(), blocks);
    if (!blocks) continue;
    EXPECT_EQ(statistics->keys.values, 3u * 12);  // no padding
    EXPECT_EQ(statistics->keys.coded, 3u * 12);
    EXPECT_EQ(statistics->values.values, 3u * 12);
  }
}

TEST(Setting, FindsValuesThatAreNotFinite) {
  const TemporaryDirectory directory;
  write_model(directory / "model", tiny_config(), "F32");
  const std::string path = directory / "model/model.safetensors";
  const std::string bytes = *llama::read_file(path, 1 << 20);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto run_with_nan_at = [&](std::size_t at, const Setting& setting) {
    std::string broken = bytes;
    const float nan = NAN;
    std::memcpy(broken.data() + at, &nan, sizeof(nan));
    write_text(path, broken);
    const Transformer model = load(directory / "model", setting);
    llama::KvCache cache = model.new_cache(9).value();
    llama::Matrix hidden(1, 20);
    const std::uint32_t token[] = {0};
    return model.forward(token, cache, hidden.view());
  };
  const std::size_t embedding = 8 + static_cast<std::size_t>(header);  // the first tensor
  const std::size_t final_norm = bytes.size() - sizeof(float);         // the last one
  for (const ecco::Codec codec : {ecco::Codec::h4, ecco::Codec::a8}) {
    EXPECT_EQ(run_with_nan_at(embedding, {false, codec}).code(), StatusCode::not_finite);
    EXPECT_TRUE(run_with_nan_at(final_norm, {false, codec}));
  }
  EXPECT_EQ(run_with_nan_at(embedding, {true, {}}).code(), StatusCode::not_finite);
  EXPECT_EQ(run_with_nan_at(final_norm, {true, {}}).code(), StatusCode::not_finite);
  EXPECT_TRUE(run_with_nan_at(embedding, {}));
}

// The model in tests/data/model.

TEST(DemoModel, GivesTheLogitsOfPyTorch) {
  const json reference = json::parse(*llama::read_file(kModel + "/reference.json", 1 << 20));
  const auto& first = reference["first_window_last_position"];
  const auto tokens = held_out_tokens();
  const llama::Matrix logits = run(load(kModel), std::span(tokens.data(), 256), 256);
  const float* last = logits.view().row(255);
  std::vector<int> order(4096);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return last[a] > last[b]; });
  order.resize(10);
  EXPECT_EQ(order, first["top10_ids"].get<std::vector<int>>());
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(last[order[i]], first["top10_logits"][i].get<double>(), 2e-5);
  }
}

TEST(DemoModel, HasThePerplexityThatNumPyFinds) {
  // head -c 4096 eval_tokens.u16 > eight.u16; python3 eval.py . 0 eight.u16   (8 windows; the
  // "%.4f" in eval.py widened to "%.9f")
  constexpr double kNumPy = 41.299789428;
  const auto quality = llama::evaluate(load(kModel), nullptr, held_out_tokens(), 8, ecco::serial);
  ASSERT_TRUE(quality) << quality.error().message();
  EXPECT_EQ(quality->predictions, 8u * 255u);
  EXPECT_NEAR(quality->perplexity, kNumPy, 1e-5 * kNumPy);
  EXPECT_FALSE(quality->kl_divergence);
  EXPECT_GT(quality->tokens_per_second, 0.0);
}

TEST(DemoModel, RunsFromItsBlocks) {
  const TemporaryDirectory directory;
  compress(kModel, directory / "p4");
  const Transformer original = load(kModel);
  const Transformer model = load(directory / "p4");
  const auto tokens = held_out_tokens();
  const auto quality = llama::evaluate(model, &original, tokens, 2, ecco::serial);
  ASSERT_TRUE(quality) << quality.error().message();
  const double exact = llama::evaluate(original, nullptr, tokens, 2, ecco::serial)->perplexity;
  EXPECT_NEAR(quality->perplexity / exact, 1.0, 0.05);
  EXPECT_GT(*quality->kl_divergence, 0.002);
  EXPECT_LT(*quality->kl_divergence, 0.03);

  const auto file = std::filesystem::file_size(directory / "p4/model.safetensors");
  EXPECT_LE(model.weight_size().bytes, 1.02 * static_cast<double>(file));
  EXPECT_GE(model.weight_size().bytes, 0.98 * static_cast<double>(file));
  EXPECT_GE(model.weight_size().bits_per_weight, 4.0);
  EXPECT_LE(model.weight_size().bits_per_weight, 4.02);
  EXPECT_EQ(original.weight_size().bits_per_weight, 16.0);
  EXPECT_LE(original.weight_size().bytes,
            1.02 * static_cast<double>(std::filesystem::file_size(kModel + "/model.safetensors")));
}

TEST(Transformer, RefusesADamagedModel) {
  const TemporaryDirectory directory;
  compress(kModel, directory / "p4");
  std::fstream file(directory / "p4/model.safetensors",
                    std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(1'000'000);
  const char byte = static_cast<char>(file.get() ^ 4);
  file.seekp(1'000'000);
  file.put(byte).flush();
  const auto model = Transformer::load(directory / "p4", ecco::serial);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("damaged: checksum"), std::string::npos)
      << model.error().message();
}

TEST(DemoModel, RunsWithACompressedCacheAndActivations) {
  const Transformer original = load(kModel);
  const auto tokens = held_out_tokens();
  const auto divergence = [&](const Setting& setting, std::size_t cache_bytes) {
    const auto quality =
        llama::evaluate(load(kModel, setting), &original, tokens, 1, ecco::serial).value();
    EXPECT_EQ(quality.kv_cache_bytes, cache_bytes);
    const bool h4 = setting.kv_cache == ecco::Codec::h4;
    EXPECT_EQ(quality.kv_statistics.has_value(), h4);
    if (h4) {
      // 6 layers x 256 tokens x 128 values
      EXPECT_EQ(quality.kv_statistics->keys.values, 6u * 256 * 128);
      EXPECT_EQ(quality.kv_statistics->values.values, 6u * 256 * 128);
      EXPECT_LT(quality.kv_statistics->keys.clipped_share(), 0.005);
      EXPECT_LT(quality.kv_statistics->values.clipped_share(), 0.005);
      EXPECT_GT(quality.kv_statistics->keys.mean_code_length(), 3.2);
      EXPECT_LT(quality.kv_statistics->keys.mean_code_length(), 3.875);
    }
    return *quality.kl_divergence;
  };
  const std::size_t blocks = 2 * 6 * 256;  // of 128 values
  const double h4 = divergence({false, ecco::Codec::h4}, blocks * 64);
  EXPECT_GT(h4, 0.001);
  EXPECT_LT(h4, 0.007);
  const double activations = divergence({true, {}}, blocks * 128 * 4);
  EXPECT_GT(activations, 5e-5);
  EXPECT_LT(activations, 5e-4);
  const double both = divergence(kW4A8KV4, blocks * 64);
  EXPECT_GT(both, h4 - 0.001);
  EXPECT_LT(both, h4 + 0.002);
}

TEST(Evaluate, DoesNotDependOnTheThreads) {
  const TemporaryDirectory directory;
  write_model(directory / "model", tiny_config());
  const ecco::ParallelFor backwards = [](std::size_t count, const auto& body) {
    for (std::size_t i = count; i-- > 0;) body(i, i + 1);
  };
  const Transformer one = load(directory / "model");
  const Transformer other = load(directory / "model", {}, backwards);
  EXPECT_EQ(run(one, kTinyTokens, 9).values, run(other, kTinyTokens, 9).values);
  const auto a = llama::evaluate(one, &one, kTinyTokens, 1, ecco::serial);
  const auto b = llama::evaluate(other, &other, kTinyTokens, 1, backwards);
  EXPECT_EQ(a->perplexity, b->perplexity);
  EXPECT_EQ(*a->kl_divergence, 0.0);
}

TEST(Evaluate, RefusesTextsAndModelsThatDoNotFit) {
  const TemporaryDirectory directory;
  write_model(directory / "model", tiny_config());
  json config = tiny_config();
  config["vocab_size"] = 38;
  write_model(directory / "other", config);
  const Transformer model = load(directory / "model");
  const Transformer other = load(directory / "other");
  const auto windows = llama::count_windows(model.config(), 8, 0);
  ASSERT_FALSE(windows);
  EXPECT_EQ(windows.error().message(), "8 tokens, but one window of the model takes 9");
  EXPECT_EQ(llama::count_windows(model.config(), 100, 3).value(), 3u);
  EXPECT_EQ(llama::count_windows(model.config(), 100, 30).value(), 11u);
  const auto quality = llama::evaluate(model, &other, kTinyTokens, 1, ecco::serial);
  ASSERT_FALSE(quality);
  EXPECT_NE(quality.error().message().find("vocabulary of 37"), std::string::npos);
}

TEST(Transformer, NamesTensorsThatAreMissingOrOfAnotherShape) {
  const TemporaryDirectory directory;
  write_model(directory / "model", tiny_config());
  const auto error = [&](const char* key, const json& value) {
    json config = tiny_config();
    config[key] = value;
    write_text(directory / "model/config.json", config.dump());
    const auto model = Transformer::load(directory / "model", ecco::serial);
    return model ? "none" : model.error().message().substr((directory / "model").size() + 2);
  };
  EXPECT_EQ(error("num_hidden_layers", 2), "none");
  EXPECT_EQ(error("num_hidden_layers", 3),
            "the model has no tensor model.layers.2.input_layernorm.weight");
  EXPECT_EQ(error("intermediate_size", 130),
            "model.layers.0.mlp.gate_proj.weight: the shape is 131 x 20, but config.json asks for "
            "130 x 20");
  EXPECT_EQ(error("tie_word_embeddings", false), "the model has no tensor lm_head.weight");
  EXPECT_EQ(error("hidden_size", 21),
            "model.embed_tokens.weight: the shape is 37 x 20, but config.json asks for 37 x 21");
}

// config.json

std::string config_error(const char* key, const json& value) {
  json config = tiny_config();
  if (value.is_discarded()) {
    config.erase(key);
  } else {
    config[key] = value;
  }
  const auto parsed = llama::parse_config(config.dump(), "c");
  return parsed ? "" : parsed.error().message();
}

TEST(Config, ReadsTheKeysAndTheirDefaults) {
  const auto config = llama::read_config(kModel);
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->hidden_size, 256u);
  EXPECT_EQ(config->intermediate_size, 768u);
  EXPECT_EQ(config->layers, 6u);
  EXPECT_EQ(config->heads, 4u);
  EXPECT_EQ(config->kv_heads, 2u);
  EXPECT_EQ(config->head_dim, 64u);
  EXPECT_EQ(config->vocab_size, 4096u);
  EXPECT_EQ(config->context, 256u);
  EXPECT_EQ(config->rms_norm_eps, 1e-5f);
  EXPECT_EQ(config->rope_theta, 10000.0);
  EXPECT_TRUE(config->tied_head);
  EXPECT_EQ(config->bos, 1u);
  EXPECT_EQ(config->eos, std::vector<std::uint32_t>{2});

  json least = tiny_config();
  for (const char* key :
       {"num_key_value_heads", "head_dim", "rope_theta", "tie_word_embeddings"}) {
    least.erase(key);
  }
  least["num_attention_heads"] = 5;
  least["eos_token_id"] = {4, 7};
  least["rope_scaling"] = nullptr;
  const auto defaults = llama::parse_config(least.dump(), "c");
  ASSERT_TRUE(defaults) << defaults.error().message();
  EXPECT_EQ(defaults->kv_heads, 5u);
  EXPECT_EQ(defaults->head_dim, 4u);
  EXPECT_EQ(defaults->rope_theta, 10000.0);
  EXPECT_FALSE(defaults->tied_head);
  EXPECT_FALSE(defaults->bos);
  EXPECT_EQ(defaults->eos, (std::vector<std::uint32_t>{4, 7}));
}

TEST(Config, RefusesByName) {
  const json missing = json(json::value_t::discarded);
  EXPECT_EQ(config_error("vocab_size", missing), "c: vocab_size is missing");
  EXPECT_EQ(config_error("rms_norm_eps", missing), "c: rms_norm_eps is missing");
  EXPECT_EQ(config_error("model_type", missing), "c: model_type is missing");
  EXPECT_EQ(config_error("hidden_size", 0),
            "c: hidden_size is 0, not a whole number from 1 to 16777216");
  EXPECT_EQ(config_error("hidden_size", -20),
            "c: hidden_size is -20, not a whole number from 1 to 16777216");
  EXPECT_EQ(config_error("num_hidden_layers", 1.5),
            "c: num_hidden_layers is 1.5, not a whole number from 1 to 16777216");
  EXPECT_EQ(config_error("num_key_value_heads", 3),
            "c: num_attention_heads 4 is not a multiple of num_key_value_heads 3");
  EXPECT_EQ(config_error("head_dim", 5), "c: head_dim is 5, which RoPE cannot halve");
  EXPECT_EQ(config_error("rope_theta", "big"), "c: rope_theta is \"big\", not a positive number");
  EXPECT_EQ(config_error("rms_norm_eps", 0), "c: rms_norm_eps is 0, not a positive number");
  EXPECT_EQ(config_error("tie_word_embeddings", 1),
            "c: tie_word_embeddings is 1, not true or false");
  EXPECT_EQ(config_error("eos_token_id", "end"),
            "c: eos_token_id is \"end\", not a token id or a list of them");
  EXPECT_EQ(config_error("model_type", "mixtral"),
            "c: model_type is \"mixtral\"; only \"llama\" is supported");
  EXPECT_EQ(config_error("hidden_act", "gelu"),
            "c: hidden_act is \"gelu\"; only \"silu\" is supported");
  EXPECT_EQ(config_error("attention_bias", true),
            "c: attention_bias is true; biases are not supported");
  EXPECT_EQ(config_error("mlp_bias", true), "c: mlp_bias is true; biases are not supported");
  EXPECT_EQ(config_error("rope_scaling", {{"type", "linear"}, {"factor", 2}}),
            "c: rope_scaling is of the type \"linear\"; only \"default\" is supported");
  EXPECT_EQ(config_error("rope_parameters", {{"rope_type", "llama3"}}),
            "c: rope_parameters is of the type \"llama3\"; only \"default\" is supported");
  for (const char* text : {"", "{", "[]", "7", "{\"model_type\":"}) {
    EXPECT_FALSE(llama::parse_config(text, "c")) << text;
  }
  EXPECT_EQ(llama::read_config("/nowhere").error().code(), StatusCode::io_error);
}

// Text.

TEST(Tokenizer, EncodesAndGivesTheBytesBack) {
  const auto config = llama::read_config(kModel).value();
  const auto tokenizer = llama::Tokenizer::load(kModel, config);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message();
  EXPECT_EQ(tokenizer->encode("\n").value(), std::vector<std::uint32_t>{3});
  EXPECT_TRUE(tokenizer->encode("").value().empty());
  EXPECT_EQ(tokenizer->bytes(config.eos[0]), "");
  // The last character is not in the vocabulary: four tokens of one byte each.
  const std::string text = "It is a truth\nuniversally acknowledged, \xf0\x9f\x90\x8b";
  const auto tokens = tokenizer->encode(text).value();
  std::string bytes;
  for (const std::uint32_t token : tokens) bytes += tokenizer->bytes(token);
  EXPECT_EQ(bytes, text);
  EXPECT_EQ(tokenizer->bytes(tokens.back()), "\x8b");
  // The held-out text itself: what its ids stand for is cut into the same ids again.
  const auto held_out = held_out_tokens();
  const std::vector<std::uint32_t> some(held_out.begin(), held_out.begin() + 1000);
  bytes.clear();
  for (const std::uint32_t token : some) bytes += tokenizer->bytes(token);
  EXPECT_EQ(tokenizer->encode(bytes).value(), some);
}

TEST(Tokenizer, PutsTheFirstTokenBeforeTheTextWhereAsked) {
  const TemporaryDirectory directory;
  std::filesystem::copy_file(kModel + "/tokenizer.model", directory / "tokenizer.model");
  const auto config = llama::read_config(kModel).value();
  const auto encode = [&] {
    return llama::Tokenizer::load(directory / "", config)->encode("\n").value();
  };
  write_text(directory / "tokenizer_config.json", "{\"add_bos_token\": true}");
  EXPECT_EQ(encode(), (std::vector<std::uint32_t>{1, 3}));
  write_text(directory / "tokenizer_config.json", "{\"add_bos_token\": false}");
  EXPECT_EQ(encode(), (std::vector<std::uint32_t>{3}));
  write_text(directory / "tokenizer_config.json", "nonsense");
  EXPECT_FALSE(llama::Tokenizer::load(directory / "", config));
  write_text(directory / "tokenizer.model", "nonsense");
  const auto broken = llama::Tokenizer::load(directory / "", config);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code(), StatusCode::corrupt);
}

TEST(Utf8Stream, GivesWholeCharactersOnly) {
  llama::Utf8Stream stream;
  EXPECT_EQ(stream.append("a\xf0\x9f"), "a");
  EXPECT_EQ(stream.append("\x90"), "");
  EXPECT_EQ(stream.append("\x8b"
                          "b\xc3"),
            "\xf0\x9f\x90\x8b"
            "b");
  EXPECT_EQ(stream.append("x"), "\xef\xbf\xbdx");  // the lead byte was not continued
  EXPECT_EQ(stream.append("\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd");  // overlong
  EXPECT_EQ(stream.append("\n\t\x1b[2J"), "\n\t\xef\xbf\xbd[2J");
  EXPECT_EQ(stream.append("\xe2\x96"), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Sampler, DrawsFromTheSoftmax) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f, 3.0f};
  llama::Sampler greedy(0.0, 1);
  EXPECT_EQ(greedy.draw(logits).value(), 1u);
  const auto draw = [&](double temperature, std::uint64_t seed) {
    llama::Sampler sampler(temperature, seed);
    std::vector<std::uint32_t> drawn;
    for (int i = 0; i < 20000; ++i) drawn.push_back(sampler.draw(logits).value());
    return drawn;
  };
  EXPECT_EQ(draw(1.0, 5), draw(1.0, 5));
  EXPECT_NE(draw(1.0, 5), draw(1.0, 6));
  for (const double temperature : {0.5, 1.0, 4.0}) {
    const auto drawn = draw(temperature, 7);
    double sum = 0.0;
    for (const float z : logits) sum += std::exp(z / temperature);
    for (std::uint32_t i = 0; i < logits.size(); ++i) {
      const double share = static_cast<double>(std::count(drawn.begin(), drawn.end(), i)) / 20000;
      EXPECT_NEAR(share, std::exp(logits[i] / temperature) / sum, 0.02);
    }
  }
  EXPECT_FALSE(greedy.draw(std::vector<float>{1.0f, NAN}));
  EXPECT_FALSE(greedy.draw(std::vector<float>{1.0f, INFINITY}));
}

TEST(Generate, TakesTheGreatestLogitOfTheWholeTextEachTime) {
  const TemporaryDirectory directory;
  json config = tiny_config();
  write_model(directory / "model", config);
  const Transformer model = load(directory / "model");
  std::vector<std::uint32_t> text = {3, 36, 0};
  const auto continue_text = [&](const Transformer& from, std::size_t most, std::size_t stop) {
    std::vector<std::uint32_t> drawn;
    llama::Sampler sampler(0.0, 0);
    const auto result = llama::generate(from, text, most, sampler, [&](std::uint32_t token) {
      drawn.push_back(token);
      return drawn.size() < stop;
    });
    EXPECT_EQ(result.value().tokens, drawn.size());
    return drawn;
  };
  const auto drawn = continue_text(model, 100, 100);
  ASSERT_EQ(drawn.size(), 6u);  // the context is 9
  EXPECT_EQ(continue_text(model, 4, 100).size(), 4u);
  EXPECT_EQ(continue_text(model, 100, 2).size(), 2u);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    std::vector<std::uint32_t> so_far = text;
    so_far.insert(so_far.end(), drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(i));
    const llama::Matrix logits = run(model, so_far, so_far.size());
    const float* last = logits.view().row(so_far.size() - 1);
    EXPECT_EQ(drawn[i], static_cast<std::uint32_t>(std::max_element(last, last + 37) - last));
  }

  config["eos_token_id"] = {40, drawn[3]};
  write_text(directory / "model/config.json", config.dump());
  const auto first = std::find(drawn.begin(), drawn.end(), drawn[3]);
  EXPECT_EQ(continue_text(load(directory / "model"), 100, 100),
            std::vector<std::uint32_t>(drawn.begin(), first));

  llama::Sampler sampler(0.0, 0);
  const llama::TokenSink sink = [](std::uint32_t) { return true; };
  EXPECT_FALSE(llama::generate(model, {}, 5, sampler, sink));
  EXPECT_FALSE(llama::generate(model, kTinyTokens, 5, sampler, sink));
}

TEST(ReadTokens, NamesWhatIsWrong) {
  const TemporaryDirectory directory;
  const auto error = [&](const std::string& bytes) {
    write_text(directory / "t", bytes);
    const auto tokens = llama::read_tokens(directory / "t", 300);
    return tokens ? "" : tokens.error().message().substr((directory / "t").size() + 2);
  };
  EXPECT_EQ(error(std::string("\x2b\x01\x07\x00", 4)), "");
  EXPECT_EQ(llama::read_tokens(directory / "t", 300).value(),
            (std::vector<std::uint32_t>{299, 7}));
  EXPECT_EQ(error(""), "empty, no token ids");
  EXPECT_EQ(error("abc"), "3 bytes, not a whole number of 16-bit token ids");
  EXPECT_EQ(error(std::string("\x07\x00\x2c\x01", 4)),
            "token 1 has the id 300, but the vocabulary has 300");
  EXPECT_EQ(llama::read_tokens(directory / "", 300).error().code(), StatusCode::io_error);
  EXPECT_EQ(llama::read_tokens(directory / "no", 300).error().code(), StatusCode::io_error);
}

}  // namespace
