// SPDX-License-Identifier: MIT
// Writes one compressed shard of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/compress_plan.hpp"
#include "io/ecco_metadata.hpp"
#include "io/job.hpp"
#include "io/model_impl.hpp"
#include "io/model_output.hpp"
#include "io/safetensors_writer.hpp"
#include "io/tensor_encoder.hpp"

namespace ecco {

class ShardWriter {
 public:
  ShardWriter(const Shard& shard, std::size_t shard_number, const CompressPlan& plan,
              TableSource table_source);

  Status write(ModelOutput& output, EncoderCache& encoders, Job& job);

  [[nodiscard]] std::uint64_t file_bytes() const noexcept { return file_bytes_; }
  [[nodiscard]] std::uint64_t table_bytes() const noexcept;

 private:
  void add_tensor(std::size_t index);
  void name_tables(TableSource source, std::size_t shard_number);
  void add_table(const std::string& id, const PatternTable& table);
  void add_table_part(std::string name, std::string dtype, std::size_t row_bytes, Codec codec,
                      std::span<const std::uint8_t> bytes);
  Status write_entry(const LaidOutEntry& entry, OutputFile& file, EncoderCache& encoders,
                     Job& job);
  [[nodiscard]] std::string header_text() const;

  const Shard& shard_;
  const CompressPlan& plan_;
  EccoMetadata metadata_ = {{}, {}, {}, 0};
  std::map<std::string, std::span<const std::uint8_t>> tables_;  ///< bytes by tensor name
  std::vector<LaidOutEntry> entries_;
  std::uint64_t data_bytes_ = 0;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace ecco
