// SPDX-License-Identifier: MIT
// verify_model: checksums, and whether every block is valid.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ecco/block.hpp"
#include "ecco/model.hpp"
#include "guarded.hpp"
#include "io/checksum.hpp"
#include "io/job.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// What the blocks of a tensor, or of a part of it, are like.
struct BlockFindings {
  std::uint64_t invalid = 0;
  std::uint64_t first_row = 0;
  std::uint64_t first_block = 0;  ///< in its row
  const char* reason = "";
  h4::Statistics h4;  ///< of h4 blocks

  void add_invalid(std::uint64_t row, std::uint64_t block, const char* fault) {
    if (invalid++ > 0) return;
    first_row = row;
    first_block = block;
    reason = fault;
  }

  void merge(const BlockFindings& later) {
    h4::Statistics sum = h4;
    sum += later.h4;
    const std::uint64_t count = invalid + later.invalid;
    if (invalid == 0) *this = later;
    invalid = count;
    h4 = sum;
  }
};

BlockFindings check_chunk(const TensorView& tensor, const Chunks& chunks, const Chunk& chunk) {
  BlockFindings out;
  const std::uint64_t bytes = block_bytes(tensor.codec());
  const std::uint8_t* block = tensor.blocks().data() + chunks.first_block(chunk) * bytes;
  for (std::uint64_t row = 0; row < chunk.rows; ++row) {
    for (std::uint64_t col = 0; col < chunk.cols; col += kGroup, block += bytes) {
      const auto values = static_cast<int>(std::min<std::uint64_t>(kGroup, chunk.cols - col));
      if (tensor.codec() == Codec::h4) out.h4.add(block, tensor.table().h4(), values);
      const char* fault = block_fault(tensor, block, values);
      if (fault != nullptr) out.add_invalid(chunk.row + row, (chunk.col + col) / kGroup, fault);
    }
  }
  return out;
}

/// Checks blocks and checksum of a compressed tensor in one pass over its bytes.
Result<BlockFindings> check_blocks(const TensorView& tensor, std::string_view name,
                                   Checksum& checksum, Job& job) {
  const Chunks chunks(tensor.rows(), tensor.cols());
  const std::uint64_t unit = block_bytes(tensor.codec());
  std::vector<BlockFindings> parts(Chunks::kWindow);
  BlockFindings findings;
  Status status = job.run_windows(
      chunks,
      [&](std::uint64_t index) {
        const Chunk chunk = chunks[index];
        parts[index % Chunks::kWindow] = check_chunk(tensor, chunks, chunk);
        return job.advance(Chunks::blocks(chunk) * unit, name);
      },
      [&](std::uint64_t begin, std::uint64_t end) -> Status {
        for (std::uint64_t i = begin; i < end; ++i) findings.merge(parts[i % Chunks::kWindow]);
        const auto bytes =
            bytes_of_chunks(tensor.blocks(), chunks, begin, end, unit,
                            [&](const Chunk& chunk) { return chunks.first_block(chunk); });
        checksum.update(bytes);
        release_pages(bytes);
        return {};
      });
  if (!status) return fail(std::move(status));
  return findings;
}

Status hash_bytes(std::span<const std::uint8_t> bytes, std::string_view name, Checksum& checksum,
                  Job& job) {
  constexpr std::size_t kPiece = 8 << 20;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPiece));
    checksum.update(piece);
    release_pages(piece);
    if (Status status = job.advance(piece.size(), name); !status) return status;
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

Status verify_record(const Model& model, const ChecksumRecord& record, Job& job,
                     Verification& out) {
  Checksum checksum;
  BlockFindings findings;
  const ModelTensor* tensor = model.find(record.tensor);
  if (tensor != nullptr && tensor->codec) {
    auto found = check_blocks(model.view(*tensor), record.tensor, checksum, job);
    if (!found) return found.error();
    findings = *found;
    if (*tensor->codec == Codec::h4) out.h4.emplace(record.tensor, findings.h4);
  } else if (Status status = hash_bytes(record.bytes, record.tensor, checksum, job); !status) {
    return status;
  }
  if (checksum.digest() != record.expected) {
    out.defects.push_back(
        {std::string(record.tensor), checksum_mismatch(checksum.digest(), record.expected)});
  }
  if (findings.invalid > 0) {
    out.defects.push_back(
        {std::string(record.tensor),
         fmt::format("{} invalid blocks of {}; the first is block {} of row {}: {}",
                     findings.invalid, record.bytes.size() / block_bytes(*tensor->codec),
                     findings.first_block, findings.first_row, findings.reason)});
  }
  return {};
}

}  // namespace

Result<Verification> verify_model(const std::string& path, const ParallelFor& parallel,
                                  const Progress& progress) {
  return guarded([&]() -> Result<Verification> {
    const auto model = Model::open(path);
    if (!model) return fail(model.error());
    const auto records = checksum_records(Model::Impl::of(*model));
    std::uint64_t total_bytes = 0;
    for (const ChecksumRecord& record : records) total_bytes += record.bytes.size();
    Job job(parallel, progress, total_bytes);
    Verification out;
    for (const ChecksumRecord& record : records) {
      if (Status status = verify_record(*model, record, job, out); !status) {
        return fail(std::move(status));
      }
    }
    return out;
  });
}

}  // namespace ecco
