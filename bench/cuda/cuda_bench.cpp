// SPDX-License-Identifier: MIT
// Products, decoding and encoding on a GPU beside cuBLAS in half, in one run. scripts/gpu.sh runs
// it and report.py makes tables and plots of its JSON. Each shape in turn, so that its matrices
// are on the device one at a time.
#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>

#include "ecco/cuda/device.hpp"
#include "ecco/cuda/encode.hpp"
#include "matrices.hpp"
#ifdef ECCO_BENCH_CUBLAS
#include "half_product.hpp"
#endif

namespace ecco::bench {
namespace {

using cuda::Layout;

struct Setting {
  Codec codec;
  Layout layout;
  const char* name;
};
constexpr Setting kProducts[] = {
    {Codec::p4, Layout::dense, "p4/dense"}, {Codec::p4, Layout::paired, "p4/paired"},
    {Codec::p4, Layout::fast, "p4/fast"},   {Codec::p4, Layout::raw, "p4/raw"},
    {Codec::p2, Layout::fast, "p2/fast"},   {Codec::p3, Layout::fast, "p3/fast"},
    {Codec::p5, Layout::fast, "p5/fast"},   {Codec::h4, Layout::fast, "h4/fast"}};

/// Seconds after which no benchmark begins; those left out have an error.
double& time_limit() {
  static double seconds = INFINITY;
  return seconds;
}

double seconds_since_start() {
  static const auto start = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Failures become the benchmark's error, the next one goes on.
template <typename Function>
void add(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 try {
                                   if (seconds_since_start() > time_limit()) {
                                     throw std::runtime_error("left out: the time is up");
                                   }
                                   function(state);
                                 } catch (const std::exception& error) {
                                   state.SkipWithError(error.what());
                                 }
                               })
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

/// The matrix of the last setting and shape asked for, shared by the batches.
const DeviceMatrix& matrix_of(const Setting& setting, const Shape& shape) {
  static std::unique_ptr<DeviceMatrix> matrix;
  static std::string current;
  const std::string wanted = setting.name + shape.name();
  if (current != wanted) {
    current.clear();
    matrix.reset();  // frees before it allocates
    matrix = std::make_unique<DeviceMatrix>(setting.codec, setting.layout, shape);
    current = wanted;
  }
  return *matrix;
}

/// A product by gemm; with `by_cublas` by panels and cuBLAS, whatever the batch.
struct ProductCall {
  Setting setting;
  Shape shape;
  std::size_t batch;
  cuda::Activations activations = cuda::Activations::int8;
  bool by_cublas = false;
};

void product(benchmark::State& state, const ProductCall& call) {
  const auto& [setting, shape, batch, activations, by_cublas] = call;
  const auto handle = by_cublas ? std::optional(value_or_throw(cuda::Blas::create(1)))
                                : std::optional<cuda::Blas>();
  const cuda::Blas* const blas = handle ? &*handle : nullptr;
  const DeviceMatrix& matrix = matrix_of(setting, shape);
  const cuda::DeviceMemory x = normal_half(batch * shape.cols);
  const cuda::DeviceMemory y = allocate(batch * shape.rows * sizeof(float));
  const cuda::DeviceTensorView view = matrix.view(0);
  const cuda::DeviceMemory workspace =
      allocate(cuda::gemm_workspace_bytes(view, batch, activations, blas));
  const MatrixView<const half> in =
      dense_view(reinterpret_cast<const half*>(x.data()), batch, shape.cols);
  const MatrixView<float> out = dense_view(reinterpret_cast<float*>(y.data()), batch, shape.rows);
  const double traffic = static_cast<double>(matrix.bytes() + x.bytes() + y.bytes());
  time_calls(state, matrix.copies(), traffic,
             [&, activations = activations](cudaStream_t stream, std::size_t copy) {
               check(cuda::gemm(matrix.view(copy), in, out, activations,
                                {workspace.data(), workspace.bytes()}, stream, blas));
             });
}

void decode(benchmark::State& state, Codec codec, cuda::H4Decoder decoder, const Shape& shape) {
  const Setting setting{codec, Layout::raw, codec_name(codec).data()};
  const DeviceMatrix& matrix = matrix_of(setting, shape);
  const cuda::DeviceMemory out = allocate(shape.rows * shape.cols * sizeof(half));
  const MatrixView<half> view =
      dense_view(reinterpret_cast<half*>(out.data()), shape.rows, shape.cols);
  const double traffic = static_cast<double>(matrix.bytes() + out.bytes());
  time_calls(state, matrix.copies(), traffic, [&](cudaStream_t stream, std::size_t copy) {
    check(cuda::decode(matrix.view(copy), view, stream, decoder));
  });
  state.counters["values/s"] =
      benchmark::Counter(shape.values(), benchmark::Counter::kIsIterationInvariantRate);
}

void encode(benchmark::State& state, Codec codec, const Shape& shape) {
  const auto tables = value_or_throw(cuda::DeviceCodec::create(codec));
  const std::size_t count = shape.rows * shape.cols;
  const cuda::DeviceMemory in = normal_half(count);
  const std::size_t group = codec == Codec::a8 ? 64 : 128;
  const cuda::DeviceMemory blocks =
      allocate(shape.rows * ((shape.cols + group - 1) / group) * block_bytes(codec));
  const MatrixView<const half> rows =
      dense_view(reinterpret_cast<const half*>(in.data()), shape.rows, shape.cols);
  const double traffic = static_cast<double>(in.bytes() + blocks.bytes());
  time_calls(state, 1, traffic, [&](cudaStream_t stream, std::size_t) {
    check(cuda::encode(tables.view(), rows, 0.01f, {blocks.data(), blocks.bytes()}, stream));
  });
  state.counters["values/s"] =
      benchmark::Counter(shape.values(), benchmark::Counter::kIsIterationInvariantRate);
}

#ifdef ECCO_BENCH_CUBLAS
void half_product(benchmark::State& state, const Shape& shape, std::size_t batch) {
  const std::size_t bytes = shape.rows * shape.cols * sizeof(half);
  const std::size_t copies = copies_beyond_l2(bytes);
  const cuda::DeviceMemory weights = normal_half(copies * shape.rows * shape.cols);
  const cuda::DeviceMemory x = normal_half(batch * shape.cols);
  const cuda::DeviceMemory y = allocate(batch * shape.rows * sizeof(half));
  std::unique_ptr<HalfProduct> cublas;
  const double traffic = static_cast<double>(bytes + x.bytes() + y.bytes());
  time_calls(state, copies, traffic, [&](cudaStream_t stream, std::size_t copy) {
    if (!cublas) cublas = std::make_unique<HalfProduct>(stream);
    cublas->multiply(shape, reinterpret_cast<const half*>(weights.data() + copy * bytes),
                     reinterpret_cast<const half*>(x.data()), reinterpret_cast<half*>(y.data()),
                     batch);
  });
}
#endif

void add_products(const Shape& shape, const std::vector<std::size_t>& batches) {
  const auto name = [&](const std::string& what, std::size_t batch) {
    return "product/" + what + "/" + shape.name() + "/batch:" + std::to_string(batch);
  };
#ifdef ECCO_BENCH_CUBLAS
  for (const std::size_t batch : batches) {
    add(name("half", batch), [=](benchmark::State& state) { half_product(state, shape, batch); });
  }
#endif
  const auto add_product = [&](const char* suffix, const ProductCall& call) {
    add(name(call.setting.name + std::string(suffix), call.batch),
        [=](benchmark::State& state) { product(state, call); });
  };
  for (const Setting& setting : kProducts) {
    for (const std::size_t batch : batches) {
      cuda::DeviceTensorView view;
      view.codec = setting.codec;
      view.layout = setting.layout;
      const bool in_half = cuda::gemm_path(view, batch) == cuda::GemmPath::half;
      add_product(in_half ? "/half" : "/int8", {setting, shape, batch});
      if (batch <= cuda::kMaxBatch && setting.codec == Codec::p4) {
        add_product("/int16", {setting, shape, batch, cuda::Activations::int16});
      }
#ifdef ECCO_BENCH_CUBLAS
      if (batch > cuda::kMaxBatch) {
        add_product("/panels", {setting, shape, batch, cuda::Activations::int8, true});
      }
#endif
    }
  }
}

void add_codecs(const Shape& shape) {
  for (const Codec codec : kStoredCodecs) {
    const std::string name(codec_name(codec));
    add("decode/" + name + "/" + shape.name(),
        [=](benchmark::State& state) { decode(state, codec, cuda::H4Decoder::lane, shape); });
  }
  add("decode/h4-parallel/" + shape.name(), [=](benchmark::State& state) {
    decode(state, Codec::h4, cuda::H4Decoder::parallel, shape);
  });
  for (const Codec codec : {Codec::p4, Codec::p5, Codec::h4, Codec::a8}) {
    add("encode/" + std::string(codec_name(codec)) + "/" + shape.name(),
        [=](benchmark::State& state) { encode(state, codec, shape); });
  }
}

void add_copy() {
  add("copy", [](benchmark::State& state) {
    copy_roof();
    for (auto _ : state) state.SetIterationTime(1.0);
    state.counters["bytes/s"] = benchmark::Counter(copy_roof());
  });
}

int attribute(cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, 0), "cudaDeviceGetAttribute");
  return value;
}

/// The setting of P4 whose layout Layout::automatic is on this GPU.
std::string automatic_name() {
  const CompressedTensor some = normal_matrix(Codec::p4, {16, 128});
  const auto tensor = value_or_throw(cuda::upload(some.view(), Layout::automatic));
  for (const Setting& setting : kProducts) {
    if (setting.codec == Codec::p4 && setting.layout == tensor.view().layout) return setting.name;
  }
  throw std::runtime_error("Layout::automatic is none of the products");
}

/// What the GPU is, in the JSON's context: clocks are the driver's highest, of which products
/// depend on the ratio of bandwidth to clocks (docs/cuda.md, "Products").
void add_context() {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  benchmark::AddCustomContext("gpu", properties.name);
  benchmark::AddCustomContext("multiprocessors", std::to_string(properties.multiProcessorCount));
  benchmark::AddCustomContext("clock_mhz", std::to_string(attribute(cudaDevAttrClockRate) / 1000));
  benchmark::AddCustomContext("memory_mhz",
                              std::to_string(attribute(cudaDevAttrMemoryClockRate) / 1000));
  benchmark::AddCustomContext("memory_bits",
                              std::to_string(attribute(cudaDevAttrGlobalMemoryBusWidth)));
  benchmark::AddCustomContext("l2_bytes", std::to_string(attribute(cudaDevAttrL2CacheSize)));
  benchmark::AddCustomContext("p4_automatic", automatic_name());
#ifndef ECCO_BENCH_CUBLAS
  benchmark::AddCustomContext("cublas", "not found");
#endif
}

Shape parse_shape(const std::string& text) {
  Shape shape{};
  if (std::sscanf(text.c_str(), "%zux%zu", &shape.rows, &shape.cols) != 2 || shape.rows == 0 ||
      shape.cols == 0) {
    throw CLI::ValidationError("--shapes", "'" + text + "' is not ROWSxCOLS");
  }
  return shape;
}

int run_all(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  CLI::App app("Speed of ecco on a GPU. Options of Google Benchmark are taken, too.");
  std::vector<std::string> shapes = {"8192x8192", "28672x8192", "8192x28672", "4096x4096",
                                     "2048x2048"};
  std::vector<std::size_t> batches = {1, 2, 4, 8, 16, 64, 512};
  std::string codecs_at = "8192x8192";
  app.add_option("--shapes", shapes, "of products: ROWSxCOLS ...");
  app.add_option("--batches", batches, "vectors of a product");
  app.add_option("--codecs-at", codecs_at, "shape that is decoded and encoded");
  app.add_option("--most-copies", most_copies(), "of a matrix, where fewer do not exceed L2");
  app.add_option("--time-limit", time_limit(), "seconds after which no benchmark begins");
  try {
    app.parse(argc, argv);
    seconds_since_start();
    add_copy();
    add_codecs(parse_shape(codecs_at));
    for (const std::string& shape : shapes) add_products(parse_shape(shape), batches);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  add_context();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace ecco::bench

int main(int argc, char** argv) {
  try {
    return ecco::bench::run_all(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cuda_bench: %s\n", error.what());
    return 1;
  }
}
