// Reads logs of DTR, one JSON object a line: ir/foreign/formats.h.
//
//     CONSTANT x     MEMORY x                  a weight or an input
//     CALL f(x) -> y   MEMORY y   ALIAS y -1   y is a new storage; ALIAS y 0: a view of x
//     MUTATE add_(y, x), [0]                   y is a new storage from here on
//     COPY z y, COPY_FROM z y, RELEASE y       names, of which a storage may have several
#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "ir/errors.h"
#include "ir/foreign/amounts.h"
#include "ir/foreign/builder.h"
#include "ir/foreign/formats.h"
#include "ir/foreign/lines.h"
#include "ir/json_reader.h"
#include "ir/quoted.h"

namespace stint::foreign {
namespace {

/// One line. Keys that its kind does not use are empty.
struct Line {
  std::string instruction{};
  std::string name{};
  std::string annotation{};
  std::string source{};
  std::string target{};
  std::vector<std::string> arguments{};
  std::vector<std::string> results{};
  std::vector<std::int64_t> mutated{};  // Indices of arguments.
  std::int64_t size_bytes = -1;
  std::int64_t duration_ns = -1;
  std::int64_t alias = -2;  // Index of an argument; -1: none.
};

/// Logs write numbers as texts.
std::int64_t ReadInteger(JsonReader& json, std::int64_t least = 0) {
  if (json.Peek() != JsonKind::kString) {
    const std::int64_t value = json.Integer();
    if (value < least || value > kLargestAmount) json.Fail("is not in [0, 2^50]");
    return value;
  }
  const std::string word = json.String();
  const std::int64_t value = word == "-1" ? -1 : ToInteger(word);
  if (value < least) json.Fail(fmt::format("'{}' is no whole number from 0 to 2^50", Quoted(word)));
  return value;
}

std::vector<std::string> ReadNames(JsonReader& json) {
  std::vector<std::string> names{};
  json.Array([&] { names.push_back(json.String()); });
  return names;
}

Line Parse(std::string_view text, const std::string& where) {
  Line line{};
  JsonReader json(text, where);
  json.Object([&](std::string_view key) {
    if (key == "INSTRUCTION") {
      line.instruction = json.String();
    } else if (key == "NAME") {
      line.name = json.String();
    } else if (key == "ANNOTATION") {
      line.annotation = json.String();
    } else if (key == "SRC") {
      line.source = json.String();
    } else if (key == "DST") {
      line.target = json.String();
    } else if (key == "ARGS") {
      line.arguments = ReadNames(json);
    } else if (key == "RESULT") {
      line.results = ReadNames(json);
    } else if (key == "MUTATE") {
      json.Array([&] { line.mutated.push_back(ReadInteger(json)); });
    } else if (key == "MEMORY") {
      line.size_bytes = ReadInteger(json);
    } else if (key == "TIME") {
      line.duration_ns = ReadInteger(json);
    } else if (key == "ALIAS") {
      line.alias = ReadInteger(json, -1);
    } else {
      json.Fail("is an unknown key");
    }
  });
  return line;
}

using StorageId = std::size_t;

struct Storage {
  std::int64_t size_bytes = 0;
  std::int64_t name_count = 0;  // That refer to it now.
  bool is_constant = false;
  bool is_read = false;
};

struct Call {
  std::string name{};
  std::vector<StorageId> reads{};
  std::vector<StorageId> creates{};
  std::int64_t duration_ns = 0;
  bool is_backward = false;
};

class Log {
 public:
  Log(const std::string& text, const std::string& where) : lines_(text, where) {}

  /// Follows the log to its end.
  void Run() {
    while (true) {
      const Line line = Next();
      if (line.instruction == "ANNOTATE" && line.annotation == "START") break;
    }
    while (!lines_.AtEnd()) Follow(Next());
  }

  const std::vector<Storage>& storages() const { return storages_; }
  const std::vector<Call>& calls() const { return calls_; }

 private:
  Line Next() {
    const std::string_view text = lines_.Next();
    return Parse(text, lines_.Place());
  }

  void Follow(const Line& line) {
    if (line.instruction == "CALL") {
      FollowCall(line);
    } else if (line.instruction == "MUTATE") {
      FollowMutate(line);
    } else if (line.instruction == "CONSTANT") {
      Bind(line.name, Make({.size_bytes = MemoryOf(line.name), .is_constant = true}));
    } else if (line.instruction == "COPY" || line.instruction == "COPY_FROM") {
      Bind(line.target, Find(line.source));
    } else if (line.instruction == "RELEASE") {
      Release(line.name);
    } else if (line.instruction == "ANNOTATE") {
      is_backward_ = is_backward_ || line.annotation == "BACKWARD";
    } else {
      lines_.Fail(fmt::format("has the unknown instruction '{}'", Quoted(line.instruction)));
    }
  }

  void FollowCall(const Line& line) {
    calls_.push_back(Begin(line));
    for (const std::string& result : line.results) {
      const std::int64_t size_bytes = MemoryOf(result);
      const Line alias = Next();
      if (alias.instruction != "ALIAS" || alias.name != result || alias.alias < -1) {
        lines_.Fail(fmt::format("is not the ALIAS of {}", Quoted(result)));
      }
      Call& call = calls_.back();
      if (alias.alias == -1) {
        call.creates.push_back(Make({.size_bytes = size_bytes}));
        Bind(result, call.creates.back());
      } else if (alias.alias < static_cast<std::int64_t>(call.reads.size())) {
        Bind(result, call.reads[static_cast<std::size_t>(alias.alias)]);
      } else {
        lines_.Fail(fmt::format("names argument {} of {}", alias.alias, call.reads.size()));
      }
    }
  }

  void FollowMutate(const Line& line) {
    Call call = Begin(line);
    for (const std::int64_t index : line.mutated) {
      if (index >= static_cast<std::int64_t>(call.reads.size())) {
        lines_.Fail(fmt::format("changes argument {} of {}", index, call.reads.size()));
      }
      const auto argument = static_cast<std::size_t>(index);
      call.creates.push_back(Make({.size_bytes = storages_[call.reads[argument]].size_bytes}));
      Bind(line.arguments[argument], call.creates.back());
    }
    calls_.push_back(std::move(call));
  }

  Call Begin(const Line& line) {
    if (line.duration_ns < 0) lines_.Fail("lacks its TIME");
    Call call{.name = line.name, .duration_ns = line.duration_ns, .is_backward = is_backward_};
    for (const std::string& argument : line.arguments) {
      call.reads.push_back(Find(argument));
      storages_[call.reads.back()].is_read = true;
    }
    return call;
  }

  /// The next line, which must be the MEMORY of `name`.
  std::int64_t MemoryOf(const std::string& name) {
    const Line memory = Next();
    if (memory.instruction != "MEMORY" || memory.name != name || memory.size_bytes < 0) {
      lines_.Fail(fmt::format("is not the MEMORY of {}", Quoted(name)));
    }
    return memory.size_bytes;
  }

  StorageId Make(const Storage& storage) {
    storages_.push_back(storage);
    return storages_.size() - 1;
  }

  StorageId Find(const std::string& name) const {
    const auto found = storage_of_.find(name);
    if (found == storage_of_.end()) {
      lines_.Fail(fmt::format("uses {}, which no earlier line defines", Quoted(name)));
    }
    return found->second;
  }

  void Bind(const std::string& name, StorageId storage) {
    Release(name);
    storage_of_[name] = storage;
    ++storages_[storage].name_count;
  }

  /// Nothing for names that are not bound: logs begin in the middle of a program.
  void Release(const std::string& name) {
    const auto found = storage_of_.find(name);
    if (found == storage_of_.end()) return;
    --storages_[found->second].name_count;
    storage_of_.erase(found);
  }

  Lines lines_;
  std::vector<Storage> storages_{};
  std::vector<Call> calls_{};
  std::unordered_map<std::string, StorageId> storage_of_{};
  bool is_backward_ = false;
};

/// Storages that become one buffer.
std::vector<std::vector<StorageId>> GroupOutputs(const Call& call, bool is_separate) {
  std::vector<std::vector<StorageId>> groups{};
  for (const StorageId storage : call.creates) {
    if (is_separate || groups.empty()) groups.emplace_back();
    groups.back().push_back(storage);
  }
  return groups;
}

Buffer MakeBuffer(const std::vector<Storage>& storages, const std::vector<StorageId>& group) {
  Buffer buffer{.role = BufferRole::kActivation};
  bool is_read = false;
  bool is_named = false;
  for (const StorageId id : group) {
    buffer.size_bytes += storages[id].size_bytes;
    is_read = is_read || storages[id].is_read;
    is_named = is_named || storages[id].name_count > 0;
  }
  if (is_named && !is_read) buffer.role = BufferRole::kOutput;
  return buffer;
}

}  // namespace

Profile ReadDtrLog(const std::string& text, const std::string& where,
                   const ForeignOptions& options) {
  Log log(text, where);
  log.Run();
  const std::vector<Storage>& storages = log.storages();
  ProfileBuilder builder{};
  std::vector<BufferId> buffer_of(storages.size());
  for (StorageId i = 0; i < storages.size(); ++i) {
    if (!storages[i].is_constant || !storages[i].is_read) continue;
    buffer_of[i] = builder.Add(Buffer{.role = BufferRole::kConstant,
                                      .size_bytes = storages[i].size_bytes,
                                      .is_persistent = true});
  }
  for (const Call& call : log.calls()) {
    GraphOp op{.name = call.name, .duration_ns = call.duration_ns, .is_backward = call.is_backward};
    for (const StorageId id : call.reads) op.reads.push_back(buffer_of[id]);
    for (const std::vector<StorageId>& group : GroupOutputs(call, options.has_separate_outputs)) {
      op.creates.push_back(builder.Add(MakeBuffer(storages, group)));
      for (const StorageId id : group) buffer_of[id] = op.creates.back();
    }
    builder.Add(op);
  }
  return builder.Build("dtr", where);
}

}  // namespace stint::foreign
