// SPDX-License-Identifier: MIT
#include "llama/kv_cache.hpp"

#include <algorithm>
#include <utility>

namespace llama {
namespace {

using ecco::MatrixView;
using ecco::ParallelFor;
using ecco::Status;

void add_blocks(const ecco::KvPage& page, const ecco::h4::TableView& table,
                ecco::h4::Statistics& statistics) {
  const std::size_t block_bytes = ecco::block_bytes(page.codec());
  for (std::size_t at = 0; at < page.blocks().size(); at += block_bytes) {
    const std::size_t column = at % page.token_bytes() / block_bytes * ecco::kGroup;
    const std::size_t count = std::min<std::size_t>(ecco::kGroup, page.width() - column);
    statistics.add(page.blocks().data() + at, table, static_cast<int>(count));
  }
}

}  // namespace

ecco::Result<KvCache::Store> KvCache::Store::create(std::size_t width, std::size_t capacity,
                                                    const std::optional<ecco::KvCodec>& codec) {
  Store store;
  store.width_ = width;
  if (codec) {
    auto page = ecco::KvPage::create(*codec, width, capacity);
    if (!page) return ecco::fail(page.error());
    store.page_ = std::move(*page);
  } else {
    store.floats_.resize(width * capacity);
  }
  return store;
}

std::size_t KvCache::Store::bytes() const noexcept {
  return page_ ? page_->bytes() : floats_.size() * sizeof(float);
}

void KvCache::Store::clear() noexcept {
  size_ = 0;
  if (page_) page_->truncate(0);
}

Status KvCache::Store::append(MatrixView<const float> rows, const ParallelFor& parallel) {
  if (page_) return page_->append(rows, parallel);
  for (std::size_t t = 0; t < rows.rows; ++t, ++size_) {
    std::copy_n(rows.row(t), width_, floats_.data() + size_ * width_);
  }
  return {};
}

ecco::Result<MatrixView<const float>> KvCache::Store::read(std::vector<float>& scratch,
                                                           const ParallelFor& parallel) const {
  if (!page_) return ecco::dense_view(floats_.data(), size_, width_);
  scratch.resize(page_->capacity() * width_);
  Status status =
      page_->read(0, ecco::dense_view(scratch.data(), page_->size(), width_), parallel);
  if (!status) return ecco::fail(std::move(status));
  return ecco::dense_view<const float>(scratch.data(), page_->size(), width_);
}

ecco::Result<KvCache> KvCache::create(const Config& config, std::size_t capacity,
                                      const std::optional<ecco::KvCodec>& codec) {
  KvCache cache;
  for (std::size_t i = 0; i < config.layers; ++i) {
    auto keys = Store::create(config.kv_size(), capacity, codec);
    if (!keys) return ecco::fail(keys.error());
    auto values = Store::create(config.kv_size(), capacity, codec);
    if (!values) return ecco::fail(values.error());
    cache.layers_.push_back({std::move(*keys), std::move(*values)});
  }
  return cache;
}

void KvCache::clear() noexcept {
  for (Layer& layer : layers_) {
    layer.keys.clear();
    layer.values.clear();
  }
}

std::size_t KvCache::bytes() const noexcept {
  std::size_t sum = 0;
  for (const Layer& layer : layers_) sum += layer.keys.bytes() + layer.values.bytes();
  return sum;
}

Status KvCache::append(std::size_t layer, MatrixView<const float> keys,
                       MatrixView<const float> values, const ParallelFor& parallel) {
  Status status = layers_[layer].keys.append(keys, parallel);
  return status ? layers_[layer].values.append(values, parallel) : status;
}

ecco::Result<KvCache::LayerView> KvCache::read(std::size_t layer, const ParallelFor& parallel) {
  auto keys = layers_[layer].keys.read(keys_, parallel);
  if (!keys) return ecco::fail(keys.error());
  auto values = layers_[layer].values.read(values_, parallel);
  if (!values) return ecco::fail(values.error());
  return LayerView{*keys, *values};
}

std::optional<KvStatistics> KvCache::statistics(const ParallelFor& parallel) const {
  const auto& page = layers_.front().keys.page();
  if (!page || page->codec() != ecco::Codec::h4) return {};
  const ecco::h4::TableView table = page->table().h4();
  std::vector<KvStatistics> parts(layers_.size());
  parallel(layers_.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      add_blocks(*layers_[i].keys.page(), table, parts[i].keys);
      add_blocks(*layers_[i].values.page(), table, parts[i].values);
    }
  });
  KvStatistics sum;
  for (const KvStatistics& part : parts) {
    sum.keys += part.keys;
    sum.values += part.values;
  }
  return sum;
}

}  // namespace llama
