// SPDX-License-Identifier: MIT
#include "io/json.hpp"

#include <fmt/format.h>

#include <limits>
#include <string>

#include "io/text.hpp"

namespace ecco {
namespace {

/// Receives the parser's events and builds the document; false ends the parse.
template <typename Document>
class StrictBuilder {
 public:
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) { return add(value); }
  bool number_float(double value, const std::string& /*text*/) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<std::uint8_t>& /*value*/) { return false; }  // not JSON
  bool start_object(std::size_t /*size*/) { return open(Document::object()); }
  bool start_array(std::size_t /*size*/) { return open(Document::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    auto& object = stack_.back()->template get_ref<typename Document::object_t&>();
    const auto [member, added] = object.emplace(name, nullptr);
    if (!added) return refuse(fmt::format("duplicate key \"{}\"", shown_name(name)));
    member_ = &member->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) {
    return refuse(fmt::format("not valid JSON (at byte {})", position));
  }

  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] Document take() { return std::move(root_); }

 private:
  bool refuse(std::string error) {
    error_ = std::move(error);
    return false;
  }

  /// Puts the value where it belongs and leaves its address in added_.
  bool add(Document value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      added_ = &root_;
    } else if (stack_.back()->is_array()) {
      auto& array = stack_.back()->template get_ref<typename Document::array_t&>();
      added_ = &array.emplace_back(std::move(value));
    } else {
      *member_ = std::move(value);
      added_ = member_;
    }
    return true;
  }

  bool open(Document container) {
    if (stack_.size() == kDeepestJson) {
      return refuse(fmt::format("JSON nested over {} deep", kDeepestJson));
    }
    add(std::move(container));
    stack_.push_back(added_);
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  Document root_;
  std::vector<Document*> stack_;  // the open containers; their addresses stay until they close
  Document* member_ = nullptr;
  Document* added_ = nullptr;
  std::string error_;
};

template <typename Document>
Result<Document> parse(std::string_view text) {
  // The parser would take a NUL for the end of its input.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(StatusCode::corrupt, fmt::format("not valid JSON (at byte {})", nul + 1));
  }
  StrictBuilder<Document> builder;
  if (!Document::sax_parse(text.begin(), text.end(), &builder)) {
    return fail(StatusCode::corrupt, builder.error());
  }
  return builder.take();
}

}  // namespace

Result<Json> parse_json(std::string_view text) { return parse<Json>(text); }

Result<OrderedJson> parse_ordered_json(std::string_view text) { return parse<OrderedJson>(text); }

std::optional<std::uint64_t> json_integer(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return number;
}

std::optional<std::vector<std::uint64_t>> json_integers(const Json& value) {
  if (!value.is_array()) return std::nullopt;
  std::vector<std::uint64_t> out;
  out.reserve(value.size());
  for (const Json& element : value) {
    const auto number = json_integer(element);
    if (!number) return std::nullopt;
    out.push_back(*number);
  }
  return out;
}

const Json* json_member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto member = object.find(key);
  return member == object.end() ? nullptr : &*member;
}

}  // namespace ecco
