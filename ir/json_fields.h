// How nouns become JSON and JSON becomes nouns. Each noun says its keys once, in the order they are
// written, and both directions follow from that:
//
//     template <typename Io>
//     void Describe(Io& io, typename Io::template Noun<Phase>& phase) {
//       io.Field("name", phase.name);                              // Must be there.
//       io.Optional("repeat_count", phase.repeat_count);           // Left out where it is 0.
//     }
//
// Io is ObjectWriter or ObjectReader. Unknown, repeated and missing keys are errors of the reader.
// A noun of another shape than an object has WriteJson and ReadJson instead of Describe.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ir/json_reader.h"
#include "ir/json_writer.h"
#include "ir/quoted.h"
#include "ir/words.h"

namespace stint {

template <typename T>
concept HasWords = requires(T value) {
  WordsOf(value);
};
// Asked of ReadJson, because WriteJson would also take what merely converts to a variant.
template <typename T>
concept HasOwnForm = requires(JsonReader& json, T& value) {
  ReadJson(json, value);
};
template <typename T>
constexpr bool kIsVector = false;
template <typename T>
constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
constexpr bool kIsOptional = false;
template <typename T>
constexpr bool kIsOptional<std::optional<T>> = true;

enum class ContextUse : std::uint8_t { kWrite, kOmit };

class ObjectWriter;
template <typename T>
void WriteValue(JsonWriter& json, const T& value);

/// Writes the members of one object.
class ObjectWriter {
 public:
  template <typename T>
  using Noun = const T;

  /// `depth` < 0: all members on one line; else one a line, indented to `depth`.
  explicit ObjectWriter(JsonWriter& json, int depth = -1,
                        ContextUse context_use = ContextUse::kWrite)
      : json_(json), depth_(depth), context_use_(context_use) {
    json_.Raw("{");
  }

  void Schema(std::string_view schema) {
    Key("schema");
    json_.String(schema);
  }
  template <typename T>
  void Field(std::string_view key, const T& value) {
    Key(key);
    WriteValue(json_, value);
  }
  /// Left out where it is `empty`.
  template <typename T>
  void Optional(std::string_view key, const T& value, const std::type_identity_t<T>& empty = {}) {
    if (!IsEmpty(value, empty)) Field(key, value);
  }
  /// A list with one element a line.
  template <typename T>
  void Lines(std::string_view key, const std::vector<T>& values) {
    List(key, values, [this](const T& value) { WriteValue(json_, value); });
  }
  /// A list of objects with one member a line.
  template <typename T>
  void Blocks(std::string_view key, const std::vector<T>& values) {
    List(key, values, [this](const T& value) {
      ObjectWriter element(json_, depth_ + 2);
      Describe(element, value);
      element.Close();
    });
  }
  /// An object with one member a line.
  template <typename T>
  void Block(std::string_view key, const T& value) {
    Key(key);
    ObjectWriter members(json_, depth_ + 1);
    Describe(members, value);
    members.Close();
  }
  /// An object whose members are described by `describe(io)`.
  template <typename DescribeMembers>
  void Object(std::string_view key, DescribeMembers&& describe) {
    Key(key);
    ObjectWriter members(json_);
    describe(members);
    members.Close();
  }
  /// Everything that may differ between equal runs; left out of hashes.
  void Context(const stint::Context& context) {
    if (context_use_ == ContextUse::kWrite) Field("context", context);
  }

  void Close() {
    if (depth_ >= 0) json_.NewLine(depth_ - 1);
    json_.Raw("}");
  }

 private:
  template <typename T>
  static bool IsEmpty(const T& value, const T& empty) {
    if constexpr (kIsVector<T>) {
      return value.empty();
    } else if constexpr (kIsOptional<T>) {
      return !value.has_value();
    } else {
      return value == empty;
    }
  }
  template <typename T, typename WriteElement>
  void List(std::string_view key, const std::vector<T>& values, WriteElement&& write) {
    Key(key);
    json_.Raw("[");
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) json_.Raw(",");
      json_.NewLine(depth_ + 1);
      write(values[i]);
    }
    if (!values.empty()) json_.NewLine(depth_);
    json_.Raw("]");
  }
  void Key(std::string_view key) {
    if (has_members_) json_.Raw(depth_ < 0 ? ", " : ",");
    has_members_ = true;
    if (depth_ >= 0) json_.NewLine(depth_);
    json_.Raw("\"");
    json_.Raw(key);
    json_.Raw("\": ");
  }

  JsonWriter& json_;
  int depth_;
  ContextUse context_use_;
  bool has_members_ = false;
};

template <typename T>
void WriteValue(JsonWriter& json, const T& value) {
  if constexpr (std::same_as<T, bool>) {
    json.Bool(value);
  } else if constexpr (std::integral<T>) {
    json.Integer(value);
  } else if constexpr (std::floating_point<T>) {
    json.Double(value);
  } else if constexpr (std::same_as<T, std::string>) {
    json.String(value);
  } else if constexpr (HasWords<T>) {
    json.String(WordOf(value));
  } else if constexpr (std::is_enum_v<T>) {
    json.Integer(static_cast<std::int64_t>(value));
  } else if constexpr (kIsOptional<T>) {
    if (value) {
      WriteValue(json, *value);
    } else {
      json.Null();
    }
  } else if constexpr (kIsVector<T>) {
    json.Raw("[");
    bool is_first = true;
    for (const typename T::value_type& element : value) {
      if (!is_first) json.Raw(", ");
      is_first = false;
      WriteValue(json, element);
    }
    json.Raw("]");
  } else if constexpr (HasOwnForm<T>) {
    WriteJson(json, value);
  } else {
    ObjectWriter members(json);
    Describe(members, value);
    members.Close();
  }
}

template <typename T>
void ReadValue(JsonReader& json, T& value);

/// Compares one key of the text with the keys a noun describes and reads the value where they are
/// the same; without a key, looks for required ones that were never seen.
class ObjectReader {
 public:
  template <typename T>
  using Noun = T;

  /// Reads an object whose members are described by `describe(io)`.
  template <typename DescribeMembers>
  static void Read(JsonReader& json, DescribeMembers&& describe) {
    std::uint64_t seen = 0;
    json.Object([&](std::string_view key) {
      ObjectReader io(json, &key, seen);
      describe(io);
      if (!io.is_matched_) json.Fail("is an unknown key");
    });
    ObjectReader missing(json, nullptr, seen);
    describe(missing);
  }

  void Schema(std::string_view schema) {
    if (!Matches("schema", true)) return;
    const std::string found = json_.String();
    if (found != schema) {
      json_.Fail(fmt::format("is \"{}\", expected \"{}\"", Quoted(found), schema));
    }
  }
  template <typename T>
  void Field(std::string_view key, T& value) {
    if (Matches(key, true)) ReadValue(json_, value);
  }
  template <typename T>
  void Optional(std::string_view key, T& value, const std::type_identity_t<T>& = {}) {
    if (!Matches(key, false)) return;
    if constexpr (kIsOptional<T>) {
      ReadValue(json_, value.emplace());
    } else {
      ReadValue(json_, value);
    }
  }
  template <typename T>
  void Lines(std::string_view key, std::vector<T>& values) {
    Field(key, values);
  }
  template <typename T>
  void Blocks(std::string_view key, std::vector<T>& values) {
    Field(key, values);
  }
  template <typename T>
  void Block(std::string_view key, T& value) {
    Field(key, value);
  }
  template <typename DescribeMembers>
  void Object(std::string_view key, DescribeMembers&& describe) {
    if (Matches(key, true)) Read(json_, describe);
  }
  void Context(stint::Context& context) { Field("context", context); }

 private:
  ObjectReader(JsonReader& json, const std::string_view* key, std::uint64_t& seen)
      : json_(json), key_(key), seen_(seen) {}

  bool Matches(std::string_view name, bool is_required) {
    const std::uint64_t bit = std::uint64_t{1} << field_count_++;
    const bool was_seen = (seen_ & bit) != 0;
    if (key_ == nullptr) {
      if (is_required && !was_seen) json_.Fail(fmt::format("lacks the key \"{}\"", name));
      return false;
    }
    if (is_matched_ || *key_ != name) return false;
    if (was_seen) json_.Fail("appears twice");
    seen_ |= bit;
    is_matched_ = true;
    return true;
  }

  JsonReader& json_;
  const std::string_view* key_;
  std::uint64_t& seen_;
  int field_count_ = 0;
  bool is_matched_ = false;
};

template <HasWords Enum>
void ReadWord(JsonReader& json, Enum& value) {
  const std::string word = json.String();
  const auto words = WordsOf(Enum{});
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (word == words[i]) {
      value = static_cast<Enum>(i);
      return;
    }
  }
  json.Fail(fmt::format("is \"{}\", expected one of {}", Quoted(word), fmt::join(words, ", ")));
}

template <typename T>
void ReadValue(JsonReader& json, T& value) {
  if constexpr (std::same_as<T, bool>) {
    value = json.Bool();
  } else if constexpr (std::same_as<T, std::int64_t>) {
    value = json.Integer();
  } else if constexpr (std::floating_point<T>) {
    value = json.Double();
  } else if constexpr (std::same_as<T, std::string>) {
    value = json.String();
  } else if constexpr (HasWords<T>) {
    ReadWord(json, value);
  } else if constexpr (std::is_enum_v<T> || std::same_as<T, std::int32_t>) {
    const std::int64_t wide = json.Integer();
    if (wide < std::numeric_limits<std::int32_t>::min() ||
        wide > std::numeric_limits<std::int32_t>::max()) {
      json.Fail(fmt::format("{} does not fit into 32 bits", wide));
    }
    value = static_cast<T>(wide);
  } else if constexpr (kIsOptional<T>) {
    if (json.Peek() == JsonKind::kNull) {
      json.Null();
      value.reset();
    } else {
      ReadValue(json, value.emplace());
    }
  } else if constexpr (kIsVector<T>) {
    json.Array([&] {
      typename T::value_type element{};
      ReadValue(json, element);
      value.push_back(std::move(element));
    });
  } else if constexpr (HasOwnForm<T>) {
    ReadJson(json, value);
  } else {
    ObjectReader::Read(json, [&](ObjectReader& io) { Describe(io, value); });
  }
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Context>& context) {
  io.Optional("date", context.date);
  io.Optional("host", context.host);
  io.Optional("version", context.version);
  io.Optional("wall_time_ns", context.wall_time_ns);
  io.Optional("peak_memory_bytes", context.peak_memory_bytes);
  io.Optional("step_permille", context.step_permille, 1000);
}

/// The text of an artifact, which is described like any other object.
template <typename T>
std::string WriteArtifact(const T& artifact, ContextUse context_use) {
  JsonWriter json;
  ObjectWriter members(json, 1, context_use);
  Describe(members, artifact);
  members.Close();
  json.Raw("\n");
  return json.Take();
}

template <typename T>
T ReadArtifact(const std::string& text, const std::string& where) {
  JsonReader json(text, where);
  T artifact;
  ReadValue(json, artifact);
  return artifact;
}

}  // namespace stint
