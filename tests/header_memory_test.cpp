// SPDX-License-Identifier: MIT
// What hostile headers make the reader allocate, counted by the operators new and delete of this
// program.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "io/ecco_metadata.hpp"
#include "support/safetensors_files.hpp"

namespace {

std::atomic<std::size_t> live_bytes{0};
std::atomic<std::size_t> most_bytes{0};

}  // namespace

void* operator new(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  most_bytes = std::max<std::size_t>(most_bytes, live_bytes += malloc_usable_size(memory));
  return memory;
}

void operator delete(void* memory) noexcept {
  live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

void operator delete(void* memory, std::size_t /*size*/) noexcept { operator delete(memory); }

namespace ecco {
namespace {

constexpr std::size_t kHeaderBytes = 1 << 20;

/// begin, then as many times `part` as fit, each with '#' as another name of four letters, then
/// end.
std::string filled(const std::string& begin, const std::string& part, const std::string& end) {
  std::string text = begin;
  for (std::size_t i = 0; text.size() + part.size() + end.size() < kHeaderBytes; ++i) {
    if (i > 0) text += ',';
    for (const char c : part) {
      if (c != '#') {
        text += c;
        continue;
      }
      for (const std::size_t power : {17576u, 676u, 26u, 1u}) {
        text += static_cast<char>('a' + i / power % 26);
      }
    }
  }
  return text + end;
}

/// The metadata string `text` in a header.
std::string quoted(const std::string& text) {
  std::string out = R"({"__metadata__":{"ecco":")";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + R"("}})";
}

TEST(HeaderMemory, IsAFewTimesTheHeader) {
  const std::string entry = R"("w":{"dtype":"U8","data_offsets":[0,0],"shape":[0],)";
  const std::string ecco = R"({"format":1,"tensors":{},"tables":{},)";
  const struct {
    const char* name;
    std::string header;
    std::size_t most;  // times the header
  } kinds[] = {
      {"ignored objects", filled("{" + entry + R"("x":[)", "{}", "]}}"), 3},
      {"ignored arrays", filled("{" + entry + R"("x":[)", "[]", "]}}"), 3},
      {"ignored strings", filled("{" + entry + R"("x":[)", R"("")", "]}}"), 3},
      {"ignored numbers", filled("{" + entry + R"("x":[)", "1", "]}}"), 3},
      {"ignored names", filled("{" + entry + R"("x":{)", R"("#":0)", "}}}"), 4},
      {"one string", "{" + entry + R"("x":")" + std::string(kHeaderBytes, 'x') + R"("}})", 8},
      {"bad entries", filled("{", R"("#":{})", "}"), 4},
      {"entries", filled("{", R"("#":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})", "}"), 9},
      {"extents", filled(R"({"w":{"dtype":"U8","data_offsets":[0,0],"shape":[0,)", "1", "]}}"),
       13},
      {"metadata", filled(R"({"__metadata__":{)", R"("#":"")", "}}"), 15},
      {"ignored metadata", quoted(filled(ecco + R"("carried":{},"x":[)", "{}", "]}")), 8},
      {"ecco's entries",
       quoted(filled(ecco + R"("carried":{)", R"("#":{"xxh3":"0123456789abcdef"})", "}}")), 8},
  };
  for (const auto& kind : kinds) {
    const test::Bytes file = test::raw_safetensors(kind.header);
    const std::size_t before = live_bytes;
    most_bytes = before;
    (void)parse_container(file);  // some are refused in the end
    EXPECT_LT(most_bytes - before, kind.most * kind.header.size()) << kind.name;
    EXPECT_LE(live_bytes, before + 1000) << kind.name;
  }
}

}  // namespace
}  // namespace ecco
