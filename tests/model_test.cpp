// SPDX-License-Identifier: MIT
#include "ecco/model.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

#include "ecco/decode.hpp"
#include "ecco/standard_tables.hpp"
#include "support/safetensors_files.hpp"

namespace ecco {
namespace {

using test::Bytes;
using test::gaussian_tensor;
using test::RawTensor;

/// Splits the work over that many threads of its own.
ParallelFor threads(std::size_t count) {
  return [count](std::size_t n, const std::function<void(std::size_t, std::size_t)>& body) {
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < count; ++t) {
      workers.emplace_back([&, t] { body(n * t / count, n * (t + 1) / count); });
    }
    for (std::thread& worker : workers) worker.join();
  };
}

std::string xxh3_digits(const Bytes& bytes) {
  std::string digits(17, '\0');
  std::snprintf(digits.data(), digits.size(), "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  digits.pop_back();
  return digits;
}

class ModelTest : public testing::Test {
 protected:
  ModelTest() { options_.effort = Effort::fast; }

  void write_source(const std::vector<RawTensor>& tensors,
                    const std::map<std::string, std::string>& metadata = {}) {
    test::write_file(in_, test::safetensors(tensors, metadata));
  }
  Result<CompressReport> compress() { return compress_model(in_, out_, options_); }
  Status decompress(const std::string& dtype = "", bool overwrite = true) {
    ModelDecompressOptions options;
    options.dtype = dtype;
    options.overwrite = overwrite;
    return decompress_model(out_, restored_, options);
  }
  /// Expects an error and returns its message.
  std::string compress_error(StatusCode code) {
    const auto report = compress();
    EXPECT_FALSE(report);
    if (report) return {};
    EXPECT_EQ(report.error().code(), code) << report.error().message();
    EXPECT_FALSE(std::filesystem::exists(out_));
    return report.error().message();
  }

  test::TemporaryFolder folder_;
  std::string in_ = folder_.path("in.safetensors");
  std::string out_ = folder_.path("out.safetensors");
  std::string restored_ = folder_.path("restored.safetensors");
  ModelCompressOptions options_;
};

/// One of everything, in no good order.
std::vector<RawTensor> assorted_tensors() {
  return {
      {"scalar", "F32", {}, test::encode_values({1.5f}, "F32")},
      {"flags", "BOOL", {5}, Bytes(5, 1)},
      gaussian_tensor("norm", "F16", {300}, 1),
      {"empty", "F16", {0, 256}, {}},
      {"ids", "I64", {3, 256}, Bytes(3 * 256 * 8, 7)},
      gaussian_tensor("conv", "F16", {2, 3, 256}, 2),
      {"odd", "Q3", {9}, Bytes(5, 3)},
      gaussian_tensor("narrow", "F16", {4, 1}, 3),
      gaussian_tensor("k127", "BF16", {5, 127}, 4),
      gaussian_tensor("k128", "F32", {3, 128}, 5),
      gaussian_tensor("k129", "F32", {3, 129}, 6),
      {"double", "F64", {2, 128}, Bytes(2 * 128 * 8, 0)},
      gaussian_tensor("row", "F32", {1, 2880}, 7),
  };
}

TEST_F(ModelTest, WritesTheContainerAsSpecified) {
  const auto tensors = assorted_tensors();
  write_source(tensors, {{"format", "pt"}});
  const auto report = compress();
  ASSERT_TRUE(report) << report.error().message();

  const test::ParsedFile file = test::parse_file(out_);
  EXPECT_EQ(file.data_begin % 64, 0u);
  EXPECT_EQ(file.header["__metadata__"]["format"], "pt");
  const auto ecco = file.ecco();
  EXPECT_EQ(ecco.size(), 5u);
  EXPECT_EQ(ecco["format"], 1);
  EXPECT_TRUE(ecco["tables"].empty());

  // k129 in P4 is 2 blocks of 64 bytes a row: less than half of 129 * 4.
  const std::map<std::string, std::vector<std::uint64_t>> blocks = {{"conv", {6, 2, 64}},
                                                                    {"k127", {5, 1, 64}},
                                                                    {"k128", {3, 1, 64}},
                                                                    {"k129", {3, 2, 64}},
                                                                    {"row", {1, 23, 64}}};
  EXPECT_EQ(ecco["tensors"].size(), blocks.size());
  EXPECT_EQ(ecco["carried"].size(), tensors.size() - blocks.size());
  for (const RawTensor& tensor : tensors) {
    SCOPED_TRACE(tensor.name);
    const auto& entry = file.header[tensor.name];
    const Bytes bytes = file.bytes(tensor.name);
    if (const auto found = blocks.find(tensor.name); found != blocks.end()) {
      EXPECT_EQ(entry["dtype"], "U8");
      EXPECT_EQ(entry["shape"], found->second);
      EXPECT_EQ(ecco["tensors"][tensor.name], (nlohmann::json{{"codec", "p4"},
                                                              {"shape", tensor.shape},
                                                              {"dtype", tensor.dtype},
                                                              {"tensor_scale", 1.0},
                                                              {"table", "standard-1"},
                                                              {"xxh3", xxh3_digits(bytes)}}));
    } else {
      EXPECT_EQ(entry["dtype"], tensor.dtype);
      EXPECT_EQ(entry["shape"], tensor.shape);
      EXPECT_EQ(bytes, tensor.bytes);
      EXPECT_EQ(ecco["carried"][tensor.name], (nlohmann::json{{"xxh3", xxh3_digits(bytes)}}));
    }
  }

  // The header's own checksum, of the text in which its digits are zeros.
  std::string text(file.file.begin() + 8,
                   file.file.begin() + static_cast<std::ptrdiff_t>(file.data_begin));
  const auto digits = ecco["header_xxh3"].get<std::string>();
  text.replace(text.find(digits), digits.size(), std::string(16, '0'));
  EXPECT_EQ(digits, xxh3_digits(Bytes(text.begin(), text.end())));

  // Blocks, then 8-byte elements, ..., unknown dtypes; ties by name.
  const std::vector<std::string> order = {"conv",   "k127",  "k128",   "k129",  "row",
                                          "double", "ids",   "scalar", "empty", "narrow",
                                          "norm",   "flags", "odd"};
  std::size_t end = 0;
  for (const std::string& name : order) {
    EXPECT_EQ(file.header[name]["data_offsets"][0], end) << name;
    end = file.header[name]["data_offsets"][1];
  }
  EXPECT_EQ(file.data_begin + end, file.file.size());
  EXPECT_EQ(report->stored_bytes, file.file.size());
  EXPECT_EQ(report->source_bytes, test::read_file(in_).size());
}

TEST_F(ModelTest, AnyFlippedBitOfTheHeaderIsFound) {
  write_source({gaussian_tensor("w", "F16", {2, 130}, 1), gaussian_tensor("n", "F16", {9}, 2)});
  ASSERT_TRUE(compress());
  const test::ParsedFile good = test::parse_file(out_);
  const auto original = Model::open(out_);
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < 8 * good.data_begin; ++bit) {
    Bytes bad = good.file;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    test::write_file(in_, bad);
    const auto model = Model::open(in_);
    if (!model) continue;
    // Renamed, "ecco" and "__metadata__" make it a file of plain bytes, which nobody decodes.
    // Beside these only the key of the checksum itself can change unnoticed.
    if (!model->compressed()) {
      EXPECT_EQ(decompress_model(in_, out_ + ".plain", {}).code(), StatusCode::invalid_argument);
      continue;
    }
    ++accepted;
    ASSERT_EQ(model->tensors().size(), 2u);
    EXPECT_EQ(model->find("w")->tensor_scale, original->find("w")->tensor_scale);
    EXPECT_EQ(model->find("w")->shape, original->find("w")->shape);
    EXPECT_EQ(model->find("n")->dtype, "F16");
  }
  EXPECT_LE(accepted, 8 * std::string("header_xxh3").size());
}

TEST_F(ModelTest, ReportsWhyATensorIsCarried) {
  write_source(assorted_tensors());
  options_.dry_run = true;
  options_.include = "^(k|n|ids|empty|double|scalar)";
  options_.exclude = "8$";
  const auto report = compress_model(in_, "", options_);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->stored_bytes, 0u);
  std::map<std::string, TensorOutcome> outcomes;
  for (const TensorOutcome& outcome : report->tensors) outcomes.emplace(outcome.name, outcome);
  const auto expect = [&](const std::string& name, const std::string& reason, bool included) {
    EXPECT_EQ(outcomes.at(name).reason, reason) << name;
    EXPECT_EQ(outcomes.at(name).codec.has_value(), reason.empty()) << name;
    EXPECT_EQ(outcomes.at(name).included, included) << name;
  };
  expect("k127", "", true);
  expect("k129", "", true);
  expect("k128", "excluded by --exclude", false);
  expect("conv", "not named by --include", false);
  expect("norm", "rank 1 is below 2 (shape [300])", true);
  expect("scalar", "rank 0 is below 2 (shape [])", true);
  expect("ids", "dtype I64 is not F16, BF16 or F32", true);
  expect("double", "dtype F64 is not F16, BF16 or F32", true);
  expect("empty", "no values (shape [0, 256])", true);
  expect("narrow",
         "rows of 1 values: the p4 blocks would take 256 bytes, more than half of the source's 8",
         true);
  EXPECT_EQ(outcomes.at("k129").stored_bytes, 384u);
  EXPECT_EQ(outcomes.at("k129").source_bytes, 3u * 129 * 4);
  EXPECT_EQ(report->bits_per_weight, 8.0 * (384 + 320) / (3 * 129 + 5 * 127));
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"in.safetensors"});
}

TEST_F(ModelTest, RoundTripsEveryCodecAndDtype) {
  const auto tensors = assorted_tensors();
  write_source(tensors, {{"format", "pt"}});
  // Windows of the relative error over all blocks, padding included, from the format's tables.
  const std::map<Codec, std::pair<double, double>> windows = {{Codec::p2, {0.28, 0.36}},
                                                              {Codec::p3, {0.14, 0.19}},
                                                              {Codec::p4, {0.065, 0.095}},
                                                              {Codec::p5, {0.033, 0.055}},
                                                              {Codec::h4, {0.065, 0.095}}};
  for (const Codec codec : kStoredCodecs) {
    SCOPED_TRACE(codec_name(codec));
    options_.codec = codec;
    options_.overwrite = true;
    const auto report = compress();
    ASSERT_TRUE(report) << report.error().message();
    ASSERT_TRUE(decompress());
    const auto model = Model::open(out_, Checksums::check);
    ASSERT_TRUE(model) << model.error().message();
    const test::ParsedFile restored = test::parse_file(restored_);
    EXPECT_EQ(restored.header["__metadata__"], (nlohmann::json{{"format", "pt"}}));
    EXPECT_EQ(restored.header.size(), tensors.size() + 1);
    EXPECT_EQ(restored.data_begin % 64, 0u);
    double error = 0.0;
    double signal = 0.0;
    for (const RawTensor& tensor : tensors) {
      SCOPED_TRACE(tensor.name);
      EXPECT_EQ(restored.header[tensor.name]["dtype"], tensor.dtype);
      EXPECT_EQ(restored.header[tensor.name]["shape"], tensor.shape);
      const ModelTensor* stored = model->find(tensor.name);
      ASSERT_NE(stored, nullptr);
      const Bytes bytes = restored.bytes(tensor.name);
      if (!stored->codec) {
        EXPECT_EQ(bytes, tensor.bytes);
        continue;
      }
      // What the reference decoder makes of the blocks, rounded to the dtype.
      std::vector<float> expected(stored->values());
      ASSERT_TRUE(reference::decode_rows(
          model->view(*stored), 0, dense_view(expected.data(), stored->rows(), stored->cols())));
      EXPECT_EQ(bytes, test::encode_values(expected, tensor.dtype));
      const auto source = test::decode_values(tensor.bytes, tensor.dtype);
      for (std::size_t i = 0; i < source.size(); ++i) {
        error += std::pow(expected[i] - source[i], 2);
        signal += std::pow(source[i], 2);
      }
    }
    EXPECT_GT(std::sqrt(error / signal), windows.at(codec).first);
    EXPECT_LT(std::sqrt(error / signal), windows.at(codec).second);
  }
}

TEST_F(ModelTest, ReadsRowsOfAnyDtype) {
  std::vector<float> every_half(65536);
  Bytes bits;
  for (std::uint32_t i = 0; i < 65536; ++i) {
    bits.push_back(static_cast<std::uint8_t>(i));
    bits.push_back(static_cast<std::uint8_t>(i >> 8));
  }
  // One byte in front, so that nothing is aligned.
  write_source({{"byte", "U8", {1}, {1}},
                {"h", "F16", {256, 256}, bits},
                {"b", "BF16", {256, 256}, bits},
                gaussian_tensor("f", "F32", {3, 77}, 1)});
  const auto model = Model::open(in_);
  ASSERT_TRUE(model) << model.error().message();
  for (const std::string name : {"h", "b"}) {
    std::vector<float> values(65536);
    ASSERT_TRUE(read_rows(*model, *model->find(name), 0, dense_view(values.data(), 256, 256)));
    for (std::uint32_t i = 0; i < 65536; ++i) {
      const auto pattern = static_cast<std::uint16_t>(i);
      const float expected = name == "h" ? to_float(half{pattern}) : to_float(bfloat16{pattern});
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(values[i])) << i;
      } else {
        EXPECT_EQ(float_bits(values[i]), float_bits(expected)) << i;
      }
    }
  }
  std::vector<float> row(77);
  ASSERT_TRUE(read_rows(*model, *model->find("f"), 2, dense_view(row.data(), 1, 77)));
  const auto all = test::gaussian(3 * 77, 1);
  EXPECT_TRUE(std::equal(row.begin(), row.end(), all.begin() + 2 * 77));

  const auto code = [&](const char* name, std::size_t first, std::size_t cols) {
    return read_rows(*model, *model->find(name), first, dense_view(row.data(), 1, cols)).code();
  };
  EXPECT_EQ(code("byte", 0, 1), StatusCode::unsupported);
  EXPECT_EQ(code("f", 3, 77), StatusCode::shape_mismatch);
  EXPECT_EQ(code("f", std::numeric_limits<std::size_t>::max(), 77), StatusCode::shape_mismatch);
  EXPECT_EQ(code("f", 0, 76), StatusCode::shape_mismatch);
}

TEST_F(ModelTest, BlocksAreThoseOfCompressForAnyNumberOfThreads) {
  // Rows longer than a piece of work, many rows in a piece, and more pieces than a window holds.
  const std::vector<RawTensor> tensors = {gaussian_tensor("long", "F32", {2, 70'001}, 1),
                                          gaussian_tensor("short", "F32", {1000, 130}, 2),
                                          gaussian_tensor("wide", "F16", {3, 33'000}, 3)};
  write_source(tensors);
  std::vector<float> importance = test::gaussian(70'001, 4, 1.0f);
  for (float& value : importance) value = std::abs(value);
  options_.importance = folder_.path("importance");
  test::write_file(
      options_.importance,
      test::safetensors({{"long", "F32", {70'001}, test::encode_values(importance, "F32")}}));
  ASSERT_TRUE(compress());
  const Bytes serial_bytes = test::read_file(out_);
  options_.overwrite = true;
  for (const std::size_t count : {1u, 2u, 7u}) {
    ASSERT_TRUE(compress_model(in_, out_, options_, threads(count)));
    EXPECT_EQ(test::read_file(out_), serial_bytes) << count;
    ASSERT_TRUE(decompress_model(out_, restored_ + std::to_string(count), {}, threads(count)));
  }
  EXPECT_EQ(test::read_file(restored_ + "1"), test::read_file(restored_ + "2"));
  EXPECT_EQ(test::read_file(restored_ + "1"), test::read_file(restored_ + "7"));

  const test::ParsedFile file = test::parse_file(out_);
  for (const RawTensor& tensor : tensors) {
    const auto values = test::decode_values(tensor.bytes, tensor.dtype);
    CompressOptions options;
    options.effort = Effort::fast;
    if (tensor.dtype == "F16") options.largest_value = 65504.0f;
    if (tensor.name == "long") options.importance = importance;
    const auto expected =
        ecco::compress(dense_view(values.data(), tensor.shape[0], tensor.shape[1]), options);
    ASSERT_TRUE(expected);
    const auto blocks = expected->blocks();
    EXPECT_EQ(file.bytes(tensor.name), Bytes(blocks.begin(), blocks.end())) << tensor.name;
  }
}

TEST_F(ModelTest, DecompressesToTheDtypeAskedFor) {
  write_source({gaussian_tensor("w", "BF16", {2, 256}, 1), gaussian_tensor("n", "BF16", {9}, 2)});
  ASSERT_TRUE(compress());
  const auto model = Model::open(out_);
  std::vector<float> expected(512);
  ASSERT_TRUE(read_rows(*model, *model->find("w"), 0, dense_view(expected.data(), 2, 256)));
  for (const std::string dtype : {"F32", "F16", "BF16"}) {
    ASSERT_TRUE(decompress(dtype));
    const test::ParsedFile file = test::parse_file(restored_);
    EXPECT_EQ(file.header["w"]["dtype"], dtype);
    EXPECT_EQ(file.bytes("w"), test::encode_values(expected, dtype));
    EXPECT_EQ(file.header["n"]["dtype"], "BF16") << "carried tensors never change";
    EXPECT_FALSE(file.header.contains("__metadata__"));
  }
  EXPECT_EQ(decompress("F8").code(), StatusCode::invalid_argument);
}

TEST_F(ModelTest, ExtremeValuesNeverOverflow) {
  std::vector<float> large(256, 65504.0f);
  std::vector<float> huge(256, 3.3895314e38f);
  std::vector<float> tiny(256, 1e-38f);
  for (std::size_t i = 0; i < 256; i += 3) large[i] = -large[i], huge[i] /= 2.0f, tiny[i] *= 1e-5f;
  write_source({{"large", "F16", {2, 128}, test::encode_values(large, "F16")},
                {"huge", "BF16", {2, 128}, test::encode_values(huge, "BF16")},
                {"tiny", "F32", {2, 128}, test::encode_values(tiny, "F32")},
                {"zero", "F32", {2, 128}, Bytes(1024, 0)}});
  const auto report = compress();
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_TRUE(decompress());
  const test::ParsedFile file = test::parse_file(restored_);
  const auto check = [&](const char* name, const char* dtype, const std::vector<float>& source) {
    const auto values = test::decode_values(file.bytes(name), dtype);
    double product = 0.0;
    double signal = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_TRUE(std::isfinite(values[i])) << name;
      product += double{values[i]} / source[1] * (double{source[i]} / source[1]);
      signal += std::pow(double{source[i]} / source[1], 2);
    }
    // At the very edge of the dtype the scale must stay small, so only the likeness is checked.
    EXPECT_GT(product / signal, 0.2) << name;
    EXPECT_LT(product / signal, 1.05) << name;
  };
  check("large", "F16", large);
  check("huge", "BF16", huge);
  check("tiny", "F32", tiny);
  EXPECT_EQ(file.bytes("zero"), Bytes(1024, 0));
  const Status status = decompress("F16");
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_NE(status.message().find("huge: the value at row 0, column 0 overflows F16"),
            std::string::npos)
      << status.message();
}

TEST_F(ModelTest, NamesTheValueThatIsNotFinite) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    auto values = test::gaussian(3 * 200, 1);
    values[2 * 200 + 150] = bad;
    values[2 * 200 + 151] = bad;
    write_source({{"w", "BF16", {3, 200}, test::encode_values(values, "BF16")}});
    const std::string message = compress_error(StatusCode::not_finite);
    EXPECT_NE(message.find(in_ + ": w: "), std::string::npos) << message;
    EXPECT_NE(message.find("row 2, column 150"), std::string::npos) << message;
  }
  auto values = test::gaussian(70'000, 1);  // in the second piece of a long row
  values[69'999] = INFINITY;
  write_source({{"w", "F32", {1, 70'000}, test::encode_values(values, "F32")}});
  EXPECT_NE(compress_error(StatusCode::not_finite).find("row 0, column 69999"), std::string::npos);
  options_.exclude = "w";
  EXPECT_TRUE(compress()) << "a carried tensor may hold anything";
}

TEST_F(ModelTest, ImportanceChangesWhereTheErrorGoes) {
  write_source(
      {gaussian_tensor("w", "F32", {64, 256}, 1), gaussian_tensor("v", "F32", {4, 128}, 2)});
  const std::string importance = folder_.path("importance.safetensors");
  std::vector<float> weights(256, 1.0f);
  std::fill(weights.begin(), weights.begin() + 32, 100.0f);
  test::write_file(importance,
                   test::safetensors({{"w", "F32", {256}, test::encode_values(weights, "F32")}}));
  const auto error_of_first_columns = [&] {
    const auto model = Model::open(out_);
    std::vector<float> decoded(64 * 256);
    EXPECT_TRUE(read_rows(*model, *model->find("w"), 0, dense_view(decoded.data(), 64, 256)));
    const auto source = test::gaussian(64 * 256, 1);
    double error = 0.0;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      if (i % 256 < 32) error += std::pow(decoded[i] - source[i], 2);
    }
    return error;
  };
  ASSERT_TRUE(compress());
  const double plain = error_of_first_columns();
  options_.importance = importance;
  options_.overwrite = true;
  ASSERT_TRUE(compress());
  EXPECT_LT(error_of_first_columns(), 0.8 * plain);
}

TEST_F(ModelTest, TrainsWithImportancesOfAnySize) {
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  options_.importance = folder_.path("importance.safetensors");
  options_.codec = Codec::h4;
  options_.mode = H4Mode::faithful;
  options_.table = TableSource::file;
  options_.patterns = 16;
  options_.overwrite = true;
  for (const float size : {1e-45f, 1.0f, 3e38f}) {
    const std::vector<float> values(256, size);
    test::write_file(options_.importance,
                     test::safetensors({{"w", "F32", {256}, test::encode_values(values, "F32")}}));
    EXPECT_TRUE(compress()) << size;
  }
}

TEST_F(ModelTest, ChosenCodebooksAreTrainedHoweverFewTheBlocks) {
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  options_.codec = Codec::h4;
  options_.mode = H4Mode::faithful;
  options_.table = TableSource::tensor;
  options_.codebooks = 2;
  ASSERT_TRUE(compress());
  const auto model = Model::open(out_);
  ASSERT_TRUE(model);
  const PatternTableView table = model->view(*model->find("w")).table();
  EXPECT_EQ(table.patterns(), 16);
  EXPECT_EQ(table.codebooks.size(), 2u * 16);
}

TEST_F(ModelTest, RefusesImportancesThatDoNotFit) {
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  options_.importance = folder_.path("importance.safetensors");
  const auto expect = [&](const RawTensor& tensor, const std::string& reason) {
    test::write_file(options_.importance, test::safetensors({tensor}));
    const std::string message = compress_error(StatusCode::invalid_argument);
    EXPECT_NE(message.find(options_.importance + ": " + reason), std::string::npos) << message;
  };
  std::vector<float> values(256, 1.0f);
  const auto vector = [&] { return test::encode_values(values, "F32"); };
  expect({"x", "F32", {256}, vector()}, "x: the model has no tensor of this name");
  expect({"w", "F32", {1, 256}, vector()}, "w: F32 of shape [1, 256], but");
  expect({"w", "F32", {255}, Bytes(255 * 4, 0)}, "w: F32 of shape [255], but");
  expect({"w", "F16", {256}, Bytes(512, 0)}, "w: F16 of shape [256], but");
  values[7] = -1.0f;
  expect({"w", "F32", {256}, vector()}, "w: the importance of column 7 is -1");
  values[7] = std::nanf("");
  expect({"w", "F32", {256}, vector()}, "w: the importance of column 7 is nan");
  values[7] = INFINITY;
  expect({"w", "F32", {256}, vector()}, "w: the importance of column 7 is inf");
  options_.importance = folder_.path("missing");
  EXPECT_NE(compress_error(StatusCode::io_error).find("missing: No such file"), std::string::npos);
}

TEST_F(ModelTest, RefusesPatternsThatAreNone) {
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  options_.include = "(";
  EXPECT_NE(compress_error(StatusCode::invalid_argument).find("'(' is no regular expression"),
            std::string::npos);
  options_.include = std::string(100'000, '(');
  EXPECT_NE(compress_error(StatusCode::invalid_argument).find("100000 bytes, more than"),
            std::string::npos);
  options_.include = "(a*)*b";
  write_source({gaussian_tensor(std::string(100'000, 'a'), "F32", {4, 256}, 1)});
  EXPECT_NE(compress_error(StatusCode::invalid_argument).find("too long for --include"),
            std::string::npos);
}

TEST_F(ModelTest, RefusesSourcesThatAreOrLookCompressed) {
  write_source({gaussian_tensor("ecco.w", "F32", {4, 256}, 1)});
  EXPECT_NE(compress_error(StatusCode::invalid_argument).find("ecco.w: names that begin with"),
            std::string::npos);
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  ASSERT_TRUE(compress());
  std::filesystem::rename(out_, in_);
  EXPECT_NE(compress_error(StatusCode::invalid_argument).find("compressed by ecco already"),
            std::string::npos);
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  EXPECT_EQ(decompress_model(in_, out_, {}).code(), StatusCode::invalid_argument);
}

TEST_F(ModelTest, ReplacesOnlyWhatItMay) {
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1)});
  test::write_file(out_, "precious");
  EXPECT_EQ(compress().error().code(), StatusCode::already_exists);
  EXPECT_EQ(test::read_file(out_).size(), 8u);
  options_.overwrite = true;
  ASSERT_TRUE(compress());
  EXPECT_TRUE(Model::open(out_));

  const std::string link = folder_.path("link");
  std::filesystem::create_symlink(out_, link);
  for (const std::string& target : {link, std::string("/dev/full"), folder_.path("")}) {
    const auto report = compress_model(in_, target, options_);
    ASSERT_FALSE(report) << target;
    EXPECT_EQ(report.error().code(), StatusCode::invalid_argument);
  }
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  const Bytes before = test::read_file(in_);
  std::filesystem::create_hard_link(in_, folder_.path("same"));
  for (const std::string& target : {in_, folder_.path("./in.safetensors"), folder_.path("same")}) {
    const auto report = compress_model(in_, target, options_);
    ASSERT_FALSE(report) << target;
    EXPECT_NE(report.error().message().find("would replace the input"), std::string::npos);
  }
  EXPECT_EQ(test::read_file(in_), before);
  const auto report = compress_model(in_, folder_.path("no/such/out"), options_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), StatusCode::io_error);
  EXPECT_NE(report.error().message().find("No such file or directory"), std::string::npos);
  const auto directory = compress_model(in_, folder_.path("new/"), options_);
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message().find("new/: names a directory"), std::string::npos);
  EXPECT_EQ(compress_model(in_, "", options_).error().code(), StatusCode::invalid_argument);
}

TEST_F(ModelTest, ARunThatIsStoppedLeavesNothing) {
  write_source({gaussian_tensor("w", "F32", {600, 256}, 1), gaussian_tensor("v", "F32", {9}, 2)});
  std::uint64_t calls = 0;
  ASSERT_TRUE(compress_model(in_, out_, options_, serial,
                             [&](std::uint64_t done, std::uint64_t total, std::string_view) {
                               EXPECT_LE(done, total);
                               return ++calls > 0;
                             }));
  ASSERT_GE(calls, 4u);
  ASSERT_EQ(unlink(out_.c_str()), 0);
  for (std::uint64_t stop = 1; stop <= calls; ++stop) {
    std::uint64_t seen = 0;
    const Progress progress = [&](std::uint64_t, std::uint64_t, std::string_view) {
      return ++seen < stop;
    };
    const auto report = compress_model(in_, out_, options_, threads(2), progress);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), StatusCode::cancelled);
    EXPECT_EQ(folder_.names(), std::vector<std::string>{"in.safetensors"});
  }
}

// Training takes long and knows nothing of progress: the threads that it is lent ask.
TEST_F(ModelTest, ARunIsStoppedWhileATableIsTrained) {
  write_source({gaussian_tensor("w", "F32", {600, 256}, 1)});
  options_.table = TableSource::file;
  for (const Codec codec : {Codec::p4, Codec::h4}) {
    options_.codec = codec;
    int calls = 0;  // of the ParallelFor: one scans the tensor, the next is the training's
    int running = 0;
    const ParallelFor parallel = [&](std::size_t count, const auto& body) {
      ++calls;
      ++running;
      serial(count, body);
      --running;
    };
    const auto report = compress_model(
        in_, out_, options_, parallel,
        [&](std::uint64_t, std::uint64_t, std::string_view) { return running == 0; });
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), StatusCode::cancelled) << report.error().message();
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(folder_.names(), std::vector<std::string>{"in.safetensors"});
  }
}

TEST_F(ModelTest, AFullDiskLeavesNothing) {
  write_source({gaussian_tensor("w", "F32", {600, 256}, 1)});
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 30'000;
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const auto report = compress();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), StatusCode::io_error);
  EXPECT_EQ(report.error().message(), out_ + ": cannot write: File too large");
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"in.safetensors"});
}

TEST_F(ModelTest, ComparesWithTheOriginal) {
  write_source({gaussian_tensor("w", "F32", {4, 256}, 1), gaussian_tensor("n", "F32", {9}, 2)});
  ASSERT_TRUE(compress());
  const auto model = Model::open(out_);
  const auto original = Model::open(in_);
  const auto errors = compare_models(*model, *original);
  ASSERT_TRUE(errors) << errors.error().message();
  ASSERT_EQ(errors->size(), 1u);
  std::vector<float> decoded(1024);
  ASSERT_TRUE(read_rows(*model, *model->find("w"), 0, dense_view(decoded.data(), 4, 256)));
  const auto source = test::gaussian(1024, 1);
  double error = 0.0;
  double signal = 0.0;
  for (std::size_t i = 0; i < 1024; ++i) {
    error += std::pow(double{decoded[i]} - double{source[i]}, 2);
    signal += std::pow(double{source[i]}, 2);
  }
  EXPECT_NEAR(errors->front().squared_error, error, 1e-12 * error);
  EXPECT_NEAR(errors->front().squared_signal, signal, 1e-12 * signal);
  EXPECT_NEAR(errors->front().snr_db(), -20.0 * std::log10(errors->front().rmse()), 1e-9);

  write_source({gaussian_tensor("w", "F32", {4, 255}, 1)});
  EXPECT_EQ(compare_models(*model, *Model::open(in_)).error().code(), StatusCode::shape_mismatch);
  write_source({gaussian_tensor("x", "F32", {4, 256}, 1)});
  EXPECT_EQ(compare_models(*model, *Model::open(in_)).error().code(),
            StatusCode::invalid_argument);
}

/// A directory with two shards, a config and a tokenizer.
class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() {
    options_.effort = Effort::fast;
    std::filesystem::create_directory(in_);
    test::write_file(in_ + "/one.safetensors",
                     test::safetensors({gaussian_tensor("a", "F16", {200, 256}, 1),
                                        gaussian_tensor("norm", "F16", {256}, 2)}));
    test::write_file(in_ + "/two.safetensors",
                     test::safetensors({gaussian_tensor("b", "F16", {100, 256}, 3)}));
    test::write_file(
        in_ + "/model.safetensors.index.json",
        nlohmann::json{
            {"metadata", {{"total_size", 1}}},
            {"weight_map",
             {{"a", "one.safetensors"}, {"norm", "one.safetensors"}, {"b", "two.safetensors"}}}}
            .dump());
    test::write_file(in_ + "/config.json", std::string("{\"z\": 1e-05, \"a\": [1, 2]}"));
    test::write_file(in_ + "/tokenizer.model", std::string("\x01\x02"));
    test::write_file(in_ + "/pytorch_model.bin", std::string("weights of another kind"));
  }

  [[nodiscard]] std::vector<std::string> names(const std::string& folder) const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      out.push_back(entry.path().filename().string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  const std::vector<std::string> files_ = {"config.json", "model.safetensors.index.json",
                                           "one.safetensors", "tokenizer.model",
                                           "two.safetensors"};
  test::TemporaryFolder folder_;
  std::string in_ = folder_.path("in");
  std::string out_ = folder_.path("out");
  std::string back_ = folder_.path("back");
  ModelCompressOptions options_;
};

nlohmann::json parse_json_file(const std::string& path) {
  const Bytes bytes = test::read_file(path);
  return nlohmann::json::parse(bytes.begin(), bytes.end());
}

TEST_F(DirectoryTest, CompressesAndRestoresAShardedModel) {
  const auto report = compress_model(in_, out_ + "/", options_);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(names(out_), files_);
  EXPECT_EQ(names(folder_.path("")), (std::vector<std::string>{"in", "out"}));
  const auto index = parse_json_file(out_ + "/model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], (200 + 100) * 128 + 512);
  EXPECT_EQ(index["weight_map"],
            parse_json_file(in_ + "/model.safetensors.index.json")["weight_map"]);
  const Bytes config = test::read_file(out_ + "/config.json");
  EXPECT_EQ(std::string(config.begin(), config.end()),
            "{\n  \"z\": 1e-05,\n  \"a\": [\n    1,\n    2\n  ],\n  \"quantization_config\": {\n"
            "    \"quant_method\": \"ecco\",\n    \"format\": 1\n  }\n}\n");
  EXPECT_EQ(test::read_file(out_ + "/tokenizer.model"), test::read_file(in_ + "/tokenizer.model"));
  EXPECT_TRUE(verify_model(out_)->defects.empty());

  ASSERT_TRUE(decompress_model(out_, back_, {}));
  EXPECT_EQ(names(back_), files_);
  EXPECT_EQ(parse_json_file(back_ + "/config.json"), parse_json_file(in_ + "/config.json"));
  EXPECT_EQ(parse_json_file(back_ + "/model.safetensors.index.json")["metadata"]["total_size"],
            300 * 256 * 2 + 512);
  EXPECT_EQ(compare_models(*Model::open(out_), *Model::open(in_))->size(), 2u);
}

TEST_F(DirectoryTest, TrainsTablesThatEveryShardHasItsOwnNamesFor) {
  for (const TableSource source : {TableSource::file, TableSource::tensor}) {
    options_.table = source;
    options_.overwrite = true;
    options_.codec = Codec::p2;
    // Values of a kind that no standard table serves well.
    for (const auto& [file, tensor] :
         std::map<std::string, std::string>{{"one", "a"}, {"two", "b"}}) {
      std::vector<float> values(40 * 256);
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = i * 2654435761u % 128 == 0 ? 1.0f : 0.4f;
      }
      std::vector<RawTensor> tensors = {
          {tensor, "F32", {40, 256}, test::encode_values(values, "F32")}};
      if (file == "one") tensors.push_back(gaussian_tensor("norm", "F16", {256}, 2));
      test::write_file(in_ + "/" + file + ".safetensors", test::safetensors(tensors));
    }
    const auto report = compress_model(in_, out_, options_);
    ASSERT_TRUE(report) << report.error().message();
    const auto model = Model::open(out_, Checksums::check);
    ASSERT_TRUE(model) << model.error().message();
    ASSERT_EQ(model->tables().size(), 2u);
    EXPECT_NE(model->find("a")->table, model->find("b")->table);
    EXPECT_TRUE(model->find("a")->table.starts_with(
        source == TableSource::file ? "ecco.table.file-0000" : "ecco.table.tensor-0000"));
    if (source == TableSource::file) {
      EXPECT_EQ(model->tables().begin()->second.centroids,
                model->tables().rbegin()->second.centroids);
    }
    EXPECT_EQ(model->bits_per_weight(), report->bits_per_weight);
    EXPECT_GT(report->bits_per_weight, 2.0);
    EXPECT_EQ(parse_json_file(out_ + "/model.safetensors.index.json")["weight_map"].size(), 5u);
    const auto errors = compare_models(*model, *Model::open(in_));
    ASSERT_TRUE(errors);
    for (const TensorError& error : *errors) {
      EXPECT_LT(error.rmse(), 0.15) << "the standard table has over 0.3";
    }
    ASSERT_TRUE(decompress_model(out_, back_, {"", true}));
    EXPECT_EQ(Model::open(back_)->tensors().size(), 3u);
  }
}

TEST_F(DirectoryTest, TrainsH4TablesOfAnyShapeWithTheirCodebooks) {
  options_.codec = Codec::h4;
  options_.overwrite = true;
  options_.patterns = 17;
  options_.codebooks = 3;
  EXPECT_EQ(compress_model(in_, out_, options_).error().message(),
            "the standard table has its own patterns and codebooks; train one to choose them");
  options_.table = TableSource::file;
  for (const H4Mode mode : {H4Mode::rate_aware, H4Mode::faithful}) {
    options_.mode = mode;
    const auto report = compress_model(in_, out_, options_);
    ASSERT_TRUE(report) << report.error().message();
    const auto model = Model::open(out_, Checksums::check);
    ASSERT_TRUE(model) << model.error().message();
    ASSERT_EQ(model->tables().size(), 2u);  // one in each shard
    for (const auto& [name, table] : model->tables()) {
      EXPECT_EQ(table.view().patterns(), 17);
      EXPECT_EQ(table.codebooks.size(), 3u * 16);
      EXPECT_NE(table.codes, nullptr) << "gemv would build the decode tables in every call";
    }
    EXPECT_EQ(model->bits_per_weight(), report->bits_per_weight);
    EXPECT_EQ(report->bits_per_weight, 8.0 * (300 * 128 + 2 * (17 * 15 + 48)) / (300 * 256));
    EXPECT_EQ(parse_json_file(out_ + "/model.safetensors.index.json")["weight_map"].size(), 7u);
    const auto found = verify_model(out_);
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->defects.empty());
    ASSERT_EQ(found->h4.size(), 2u);
    for (const auto& [name, statistics] : found->h4) {
      EXPECT_EQ(statistics.values, model->find(name)->values());
      if (mode == H4Mode::rate_aware) {
        EXPECT_EQ(statistics.clipped, 0u);
      }
      EXPECT_GT(statistics.mean_code_length(), 3.0);
      EXPECT_LT(statistics.mean_code_length(), 4.5);
    }
    ASSERT_TRUE(decompress_model(out_, back_, {"", true}));
    EXPECT_EQ(Model::open(back_)->tensors().size(), 3u);
  }
  options_.codec = Codec::p4;
  EXPECT_EQ(compress_model(in_, out_, options_).error().message(),
            "patterns and codebooks are chosen for codec h4, not for p4");
}

TEST_F(DirectoryTest, AnIndexGoesToAnIndexOrADirectory) {
  const std::string index = in_ + "/model.safetensors.index.json";
  ASSERT_TRUE(compress_model(index, out_, options_));
  EXPECT_EQ(names(out_), files_);
  std::filesystem::create_directory(back_);
  ASSERT_TRUE(compress_model(index, back_ + "/small.index.json", options_));
  EXPECT_EQ(names(back_),
            (std::vector<std::string>{"one.safetensors", "small.index.json", "two.safetensors"}));
  EXPECT_TRUE(Model::open(back_ + "/small.index.json"));
  options_.overwrite = true;
  const auto report = compress_model(index, in_ + "/small.index.json", options_);
  ASSERT_FALSE(report) << "the shards would replace those of the input";
  EXPECT_EQ(report.error().code(), StatusCode::invalid_argument);
}

TEST_F(DirectoryTest, OverwritesItsOwnFilesOnly) {
  std::filesystem::create_directory(out_);
  test::write_file(out_ + "/notes.txt", std::string("mine"));
  EXPECT_EQ(compress_model(in_, out_, options_).error().code(), StatusCode::already_exists);
  EXPECT_EQ(names(out_), std::vector<std::string>{"notes.txt"});
  options_.overwrite = true;
  ASSERT_TRUE(compress_model(in_, out_, options_));
  EXPECT_EQ(names(out_).size(), 6u);
  ASSERT_TRUE(compress_model(in_, out_, options_));
  EXPECT_EQ(names(out_).size(), 6u);
  test::write_file(out_ + "/model.safetensors", std::string("another model"));
  EXPECT_EQ(compress_model(in_, out_, options_).error().code(), StatusCode::already_exists)
      << "readers would prefer that file to the index";
  EXPECT_EQ(compress_model(in_, in_, options_).error().code(), StatusCode::invalid_argument);
}

TEST_F(DirectoryTest, AFailureLeavesNothing) {
  const auto expect_nothing = [&](StatusCode code, const std::string& reason) {
    const auto report = compress_model(in_, out_, options_);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), code);
    EXPECT_NE(report.error().message().find(reason), std::string::npos)
        << report.error().message();
    EXPECT_EQ(names(folder_.path("")), std::vector<std::string>{"in"});
  };
  test::write_file(in_ + "/config.json", std::string("{"));
  expect_nothing(StatusCode::corrupt, "config.json: not valid JSON");
  test::write_file(in_ + "/config.json", std::string(R"({"quantization_config":{}})"));
  expect_nothing(StatusCode::invalid_argument, "has \"quantization_config\" already");
  test::write_file(in_ + "/config.json", "{}" + std::string(1'000'000, ' '));
  expect_nothing(StatusCode::corrupt, "config.json: 1000002 bytes, more than 1000000");
  std::filesystem::remove(in_ + "/two.safetensors");
  expect_nothing(StatusCode::io_error, "two.safetensors: No such file");
}

}  // namespace
}  // namespace ecco
