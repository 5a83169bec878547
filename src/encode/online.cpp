// SPDX-License-Identifier: MIT
#include "ecco/online.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <string>

#include "ecco/a8.hpp"
#include "encode/h4_kernels.hpp"

namespace ecco {
namespace {

constexpr std::size_t kBlockBytes = 64;

Status check(std::size_t values, std::size_t group, float tensor_scale, std::size_t out_bytes) {
  const std::size_t blocks = (values + group - 1) / group;
  if (out_bytes != blocks * kBlockBytes) {
    return {StatusCode::shape_mismatch, std::to_string(values) + " values take " +
                                            std::to_string(blocks * kBlockBytes) + " bytes, not " +
                                            std::to_string(out_bytes)};
  }
  if (!(tensor_scale > 0.0f && tensor_scale <= 1e34f)) {
    return {StatusCode::invalid_argument, "tensor_scale is not in (0, 1e34]"};
  }
  return {};
}

}  // namespace

struct KvEncoder::Impl {
  CodingTables tables;
  H4EncodeKernels kernels;
};

Result<KvEncoder> KvEncoder::create(const PatternTableView& table) {
  if (table.codec != Codec::h4) {
    return fail(StatusCode::unsupported, "KV mode needs an h4 table");
  }
  if (Status status = validate(table); !status) return fail(std::move(status));
  Result<H4EncodeKernels> kernels = active_h4_encode_kernels();
  if (!kernels) return fail(kernels.error());
  try {
    return KvEncoder(std::make_shared<const Impl>(Impl{CodingTables(table.h4()), *kernels}));
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::out_of_memory, "no memory left for a KV encoder");
  }
}

Status KvEncoder::encode_row(std::span<const float> row, float tensor_scale,
                             std::span<std::uint8_t> out) const {
  if (Status status = check(row.size(), kGroup, tensor_scale, out.size()); !status) return status;
  for (std::size_t at = 0, block = 0; at < row.size(); at += kGroup, block += kBlockBytes) {
    const int count = static_cast<int>(std::min<std::size_t>(kGroup, row.size() - at));
    impl_->kernels.encode_kv(impl_->tables, row.data() + at, count, tensor_scale,
                             out.data() + block);
  }
  return {};
}

Status encode_a8(std::span<const float> row, float tensor_scale, std::span<std::uint8_t> out) {
  if (Status status = check(row.size(), a8::kValues, tensor_scale, out.size()); !status) {
    return status;
  }
  const Result<H4EncodeKernels> kernels = active_h4_encode_kernels();
  if (!kernels) return kernels.error();
  const std::size_t whole = row.size() / a8::kValues;
  kernels->encode_a8(row.data(), whole, tensor_scale, out.data());
  const std::size_t rest = row.size() % a8::kValues;
  if (rest != 0) {
    a8::encode(row.data() + whole * a8::kValues, static_cast<int>(rest), tensor_scale,
               out.data() + whole * kBlockBytes);
  }
  return {};
}

}  // namespace ecco
