// SPDX-License-Identifier: MIT
#include "llama/tokenizer.hpp"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sys/stat.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "llama/files.hpp"

namespace llama {
namespace {

using ecco::StatusCode;

constexpr std::size_t kMostTokenizerBytes = std::size_t{1} << 28;
constexpr std::string_view kSpace = "\xe2\x96\x81";        // U+2581, in pieces
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

/// add_bos_token of tokenizer_config.json; false without the file or the key.
ecco::Result<bool> adds_bos(const std::string& directory) {
  const std::string path = directory + "/tokenizer_config.json";
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return false;
  const auto text = read_file(path, kMostTokenizerBytes);
  if (!text) return ecco::fail(text.error());
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return ecco::fail(StatusCode::corrupt, path + ": not a JSON object");
  const auto found = json.find("add_bos_token");
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

/// Bytes of the UTF-8 character at the start of `text`; 0 if it may still become one, -1 if it
/// cannot.
int character_bytes(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const std::size_t count = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (std::size_t i = 1; i < count; ++i) {
    if (i == text.size()) return 0;
    unsigned least = 0x80;
    unsigned greatest = 0xbf;
    if (i == 1 && lead == 0xe0) least = 0xa0;     // overlong
    if (i == 1 && lead == 0xed) greatest = 0x9f;  // surrogates
    if (i == 1 && lead == 0xf0) least = 0x90;     // overlong
    if (i == 1 && lead == 0xf4) greatest = 0x8f;  // beyond U+10FFFF
    if (at(i) < least || at(i) > greatest) return -1;
  }
  return static_cast<int>(count);
}

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1)
    return (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

}  // namespace

Tokenizer::Tokenizer() : processor_(new sentencepiece::SentencePieceProcessor) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

ecco::Result<Tokenizer> Tokenizer::load(const std::string& directory, const Config& config) {
  const std::string path = directory + "/tokenizer.model";
  const auto model = read_file(path, kMostTokenizerBytes);
  if (!model) return ecco::fail(model.error());
  Tokenizer tokenizer;
  if (const auto status = tokenizer.processor_->LoadFromSerializedProto(*model); !status.ok()) {
    return ecco::fail(StatusCode::corrupt,
                      fmt::format("{}: not a SentencePiece model ({})", path, status.message()));
  }
  const int pieces = tokenizer.processor_->GetPieceSize();
  if (pieces < 1 || static_cast<std::size_t>(pieces) > config.vocab_size) {
    return ecco::fail(StatusCode::corrupt,
                      fmt::format("{}: {} pieces, but the vocabulary of the model has {}", path,
                                  pieces, config.vocab_size));
  }
  const auto bos = adds_bos(directory);
  if (!bos) return ecco::fail(bos.error());
  if (*bos && config.bos) tokenizer.prefix_.push_back(*config.bos);
  return tokenizer;
}

ecco::Result<std::vector<std::uint32_t>> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  if (const auto status = processor_->Encode({text.data(), text.size()}, &ids); !status.ok()) {
    return ecco::fail(StatusCode::invalid_argument,
                      fmt::format("the text cannot be tokenised: {}", status.message()));
  }
  std::vector<std::uint32_t> tokens = prefix_;
  for (const int id : ids) tokens.push_back(static_cast<std::uint32_t>(id));
  return tokens;
}

std::string Tokenizer::bytes(std::uint32_t token) const {
  const int id = static_cast<int>(token);
  if (id >= processor_->GetPieceSize() || processor_->IsControl(id)) return {};
  const std::string& piece = processor_->IdToPiece(id);
  if (processor_->IsUnknown(id)) return std::string(kReplacement);
  if (processor_->IsByte(id)) {  // "<0x0A>"
    unsigned value = 0;
    std::from_chars(piece.data() + 3, piece.data() + piece.size() - 1, value, 16);
    return {static_cast<char>(static_cast<unsigned char>(value))};
  }
  std::string text = piece;
  for (std::size_t at = 0; (at = text.find(kSpace, at)) != std::string::npos; ++at) {
    text.replace(at, kSpace.size(), " ");
  }
  return text;
}

std::string Utf8Stream::append(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const int count = character_bytes(rest);
    if (count == 0) break;
    const std::string_view character =
        rest.substr(0, static_cast<std::size_t>(std::max(count, 1)));
    out += count < 0 || is_control(character) ? kReplacement : character;
    rest.remove_prefix(character.size());
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string Utf8Stream::finish() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kReplacement);
}

}  // namespace llama
