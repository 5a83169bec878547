// SPDX-License-Identifier: MIT
#include "io/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "io/text.hpp"

namespace ecco {
namespace {

/// The names of the members of all open objects. One text holds them, because sets of strings take
/// ten times the text of an object with many short names.
class OpenNames {
 public:
  void add(std::string_view name) {
    names_.push_back(
        {static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size())});
    text_ += name;
  }
  [[nodiscard]] std::size_t size() const { return names_.size(); }

  /// Forgets the names from the one at `first` on, which are those of the innermost object, and
  /// returns one that is among them twice.
  std::optional<std::string> close(std::size_t first) {
    if (first == names_.size()) return std::nullopt;
    const std::size_t text_size = names_[first].begin;
    const auto begin = names_.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, names_.end(), [&](Name a, Name b) { return text(a) < text(b); });
    const auto twice = std::adjacent_find(begin, names_.end(),
                                          [&](Name a, Name b) { return text(a) == text(b); });
    std::optional<std::string> duplicate;
    if (twice != names_.end()) duplicate = text(*twice);
    names_.resize(first);
    text_.resize(text_size);
    return duplicate;
  }

 private:
  struct Name {
    std::uint32_t begin;
    std::uint32_t size;
  };
  [[nodiscard]] std::string_view text(Name name) const {
    return std::string_view(text_).substr(name.begin, name.size);
  }

  std::string text_;
  std::vector<Name> names_;
};

/// Receives the parser's events, refuses what strict JSON does not have, and hands the rest on to
/// the sink: value(Json), open(Json), name(text), close(). False ends the parse.
template <typename Sink>
class StrictEvents {
 public:
  explicit StrictEvents(Sink& sink) : sink_(sink) {}

  bool null() { return value(nullptr); }
  bool boolean(bool boolean) { return value(boolean); }
  bool number_integer(std::int64_t number) { return value(number); }
  bool number_unsigned(std::uint64_t number) { return value(number); }
  bool number_float(double number, const std::string& /*text*/) { return value(number); }
  bool string(std::string& text) { return value(std::move(text)); }
  bool binary(std::vector<std::uint8_t>& /*bytes*/) { return false; }  // not JSON
  bool start_object(std::size_t /*size*/) { return open(Json::value_t::object); }
  bool start_array(std::size_t /*size*/) { return open(Json::value_t::array); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    names_.add(name);
    sink_.name(name);
    return true;
  }

  bool end_object() {
    if (const auto duplicate = names_.close(first_names_.back())) {
      return refuse(fmt::format("duplicate key \"{}\"", shown_name(*duplicate)));
    }
    return close();
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) {
    return refuse(fmt::format("not valid JSON (at byte {})", position));
  }

  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  bool refuse(std::string error) {
    error_ = std::move(error);
    return false;
  }

  bool value(Json value) {
    sink_.value(std::move(value));
    return true;
  }

  bool open(Json::value_t kind) {
    if (first_names_.size() == kDeepestJson) {
      return refuse(fmt::format("JSON nested over {} deep", kDeepestJson));
    }
    first_names_.push_back(names_.size());
    sink_.open(kind);
    return true;
  }

  bool close() {
    first_names_.pop_back();
    sink_.close();
    return true;
  }

  Sink& sink_;
  OpenNames names_;
  std::vector<std::size_t> first_names_;  // of each open container
  std::string error_;
};

template <typename Sink>
Status parse(std::string_view text, Sink& sink) {
  // The parser would take a NUL for the end of its input.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return {StatusCode::corrupt, fmt::format("not valid JSON (at byte {})", nul + 1)};
  }
  StrictEvents<Sink> events(sink);
  if (Json::sax_parse(text.begin(), text.end(), &events)) return {};
  return {StatusCode::corrupt, events.error()};
}

/// Hands every value to its target.
class Dispatcher {
 public:
  explicit Dispatcher(JsonTarget& root) : next_(&root) {}

  void value(Json value) {
    if (JsonTarget* target = target_of_next()) target->value(std::move(value));
    value_read();
  }

  void open(Json::value_t kind) {
    JsonTarget* target = target_of_next();
    if (target != nullptr) target->value(kind);
    open_.push_back({target, kind == Json::value_t::array});
  }

  void name(const std::string& name) {
    JsonTarget* object = open_.back().target;
    next_ = object == nullptr ? nullptr : object->member(name);
  }

  void close() {
    open_.pop_back();
    value_read();
  }

 private:
  struct Container {
    JsonTarget* target;
    bool is_array;
  };

  JsonTarget* target_of_next() {
    if (open_.empty() || !open_.back().is_array) return next_;
    JsonTarget* array = open_.back().target;
    return array == nullptr ? nullptr : array->element();
  }

  void value_read() {
    if (open_.empty() || open_.back().is_array || open_.back().target == nullptr) return;
    open_.back().target->member_read();
  }

  std::vector<Container> open_;
  JsonTarget* next_;  // of the member whose name was read, at first of the document
};

/// Builds the whole document.
class DocumentBuilder {
 public:
  void value(Json value) { add(std::move(value)); }
  void open(Json::value_t kind) { open_.push_back(add(OrderedJson(kind))); }
  void close() { open_.pop_back(); }
  void name(const std::string& name) {
    auto& object = open_.back()->get_ref<OrderedJson::object_t&>();
    member_ = &object.emplace_back(name, nullptr).second;  // its name is not looked for
  }
  [[nodiscard]] OrderedJson take() { return std::move(root_); }

 private:
  /// Puts the value where it belongs and returns its address.
  OrderedJson* add(OrderedJson value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (!open_.back()->is_array()) return &(*member_ = std::move(value));
    return &open_.back()->get_ref<OrderedJson::array_t&>().emplace_back(std::move(value));
  }

  OrderedJson root_;
  std::vector<OrderedJson*> open_;  // containers; their addresses stay until they close
  OrderedJson* member_ = nullptr;
};

/// The number if it is an integer in 0..2^63-1, written without fraction, exponent or sign.
std::optional<std::uint64_t> integer_of(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

Status read_json(std::string_view text, JsonTarget& root) {
  Dispatcher dispatcher(root);
  return parse(text, dispatcher);
}

Result<OrderedJson> parse_ordered_json(std::string_view text) {
  DocumentBuilder builder;
  if (Status status = parse(text, builder); !status) return fail(std::move(status));
  return builder.take();
}

void JsonIntegers::value(Json value) {
  if (!opened_) {
    opened_ = true;
    valid_ = value.is_array();
    return;
  }
  const auto integer = integer_of(value);
  valid_ = valid_ && integer;
  if (valid_) integers_.push_back(*integer);
}

std::optional<std::vector<std::uint64_t>> JsonIntegers::take() {
  if (!valid_) return std::nullopt;
  return std::move(integers_);
}

}  // namespace ecco
