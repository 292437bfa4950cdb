// Reads whole training steps: ir/foreign/formats.h.
//
//     {"name": "sd15_b4_512", "nf": 2, "nb": 5,         forward ops, where the updates begin
//      "ops": [{"name": "aten::mm", "i": [7, 8], "o": [9], "mut": [], "cost": 1500.5}, ...],
//      "sto": {"7": 4096, ...},                          bytes of each storage
//      "role": {"8": "w", ...},                          w weight, m moment, g gradient
//      "persistent": ["7", "8"]}                         weights, moments, inputs (and gradients,
//                                                        which an op makes all the same)
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
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

using StorageKey = std::int64_t;  // An address of the traced run.

struct StepOp {
  std::string name{};
  std::vector<StorageKey> reads{};
  std::vector<StorageKey> creates{};
  std::vector<StorageKey> writes{};
  double duration_ns = 0;
};

struct Step {
  std::string name{};
  std::int64_t forward_count = -1;
  std::int64_t update_begin = -1;
  std::vector<StepOp> ops{};
  std::map<StorageKey, std::int64_t> sizes_bytes{};
  std::map<StorageKey, char> roles{};
  std::vector<StorageKey> persistent{};
};

StorageKey ReadKey(JsonReader& json) {
  if (json.Peek() != JsonKind::kString) return json.Integer();
  const std::string word = json.String();
  const StorageKey key = ToInteger(word);
  if (key < 0) json.Fail(fmt::format("'{}' is no storage", Quoted(word)));
  return key;
}

StorageKey KeyOfMember(JsonReader& json, std::string_view word) {
  const StorageKey key = ToInteger(word);
  if (key < 0) json.Fail("belongs to no storage: its key is no number");
  return key;
}

std::vector<StorageKey> ReadKeys(JsonReader& json) {
  std::vector<StorageKey> keys{};
  json.Array([&] { keys.push_back(ReadKey(json)); });
  return keys;
}

double ReadDuration(JsonReader& json) {
  const auto fail = [&](const char* fact) { json.Fail(fact); };
  const double duration_ns =
      std::visit([](auto number) { return static_cast<double>(number); }, json.Number());
  ToAmount(duration_ns, fail);
  return duration_ns;
}

StepOp ReadOp(JsonReader& json) {
  StepOp op{};
  bool has_duration = false;
  json.Object([&](std::string_view key) {
    if (key == "name") {
      op.name = json.String();
    } else if (key == "i") {
      op.reads = ReadKeys(json);
    } else if (key == "o") {
      op.creates = ReadKeys(json);
    } else if (key == "mut") {
      op.writes = ReadKeys(json);
    } else if (key == "cost") {
      op.duration_ns = ReadDuration(json);
      has_duration = true;
    } else {
      json.Skip();
    }
  });
  if (!has_duration) json.Fail("lacks its \"cost\"");
  return op;
}

void ReadSizes(JsonReader& json, Step& step) {
  json.Object([&](std::string_view word) {
    const StorageKey key = KeyOfMember(json, word);
    const std::int64_t size_bytes = json.Integer();
    if (size_bytes < 0 || size_bytes > kLargestAmount) json.Fail("is not in [0, 2^50]");
    step.sizes_bytes[key] = size_bytes;
  });
}

void ReadRoles(JsonReader& json, Step& step) {
  json.Object([&](std::string_view word) {
    const StorageKey key = KeyOfMember(json, word);
    const std::string role = json.String();
    if (role != "w" && role != "m" && role != "g") {
      json.Fail(fmt::format("is \"{}\", expected \"w\", \"m\" or \"g\"", Quoted(role)));
    }
    step.roles[key] = role[0];
  });
}

Step ReadStep(const std::string& text, const std::string& where) {
  Step step{};
  JsonReader json(text, where);
  json.Object([&](std::string_view key) {
    if (key == "name") {
      step.name = json.String();
    } else if (key == "nf") {
      step.forward_count = json.Integer();
    } else if (key == "nb") {
      step.update_begin = json.Integer();
    } else if (key == "ops") {
      json.Array([&] { step.ops.push_back(ReadOp(json)); });
    } else if (key == "sto") {
      ReadSizes(json, step);
    } else if (key == "role") {
      ReadRoles(json, step);
    } else if (key == "persistent") {
      step.persistent = ReadKeys(json);
    } else {
      json.Skip();
    }
  });
  if (step.forward_count < 0 || step.update_begin < step.forward_count ||
      step.update_begin > static_cast<std::int64_t>(step.ops.size())) {
    throw InputError(where, "has \"nf\" and \"nb\" that are not 0 <= nf <= nb <= ops");
  }
  return step;
}

/// What the times of the file are multiplied by, before the updates and in them.
struct Scale {
  double before = 1;
  double updates = 1;
};

Scale ScaleOf(const Step& step, const ForeignOptions& options, const std::string& where) {
  if (options.step_duration_ns == 0) return {};
  double before_ns = 0;
  double updates_ns = 0;
  for (std::size_t i = 0; i < step.ops.size(); ++i) {
    const bool is_update = static_cast<std::int64_t>(i) >= step.update_begin;
    (is_update ? updates_ns : before_ns) += step.ops[i].duration_ns;
  }
  if (before_ns == 0 || updates_ns == 0) {
    throw InputError(where, "cannot be scaled: a part of the step takes no time");
  }
  return {.before = static_cast<double>(options.step_duration_ns - options.update_duration_ns) /
                    before_ns,
          .updates = static_cast<double>(options.update_duration_ns) / updates_ns};
}

class Maker {
 public:
  Maker(const Step& step, const ForeignOptions& options, const std::string& where)
      : step_(step), options_(options), where_(where), scale_(ScaleOf(step, options, where)) {
    NameStates();
    for (const StorageKey key : step.persistent) {
      if (RoleOf(key) != 'g') AddBuffer(key, true, where_ + ":/persistent");
    }
  }

  void Add(std::size_t index) {
    const StepOp& step_op = step_.ops[index];
    if (step_op.creates.empty() && step_op.writes.empty()) return;
    const bool is_update = static_cast<std::int64_t>(index) >= step_.update_begin;
    const std::string place = fmt::format("{}:/ops/{}", where_, index);
    const double factor = is_update ? scale_.updates : scale_.before;
    GraphOp op{.name = step_op.name,
               .duration_ns = std::llround(step_op.duration_ns * factor),
               .is_backward = static_cast<std::int64_t>(index) >= step_.forward_count};
    for (const StorageKey key : step_op.reads) op.reads.push_back(Find(key, place));
    for (const StorageKey key : step_op.writes) {
      op.reads.push_back(Find(key, place));
      // A fused AdamW may write the gradient it has used up: nobody reads that.
      if (RoleOf(key) != 'g') op.writes.push_back(op.reads.back());
    }
    for (const StorageKey key : step_op.creates) op.creates.push_back(AddBuffer(key, false, place));
    builder_.Add(op);
  }

  Profile Build() { return builder_.Build(step_.name, where_); }

 private:
  char RoleOf(StorageKey key) const {
    const auto found = step_.roles.find(key);
    return found == step_.roles.end() ? ' ' : found->second;
  }

  /// A parameter, its gradient and its moments are called after the update they meet in.
  void NameStates() {
    std::int64_t parameter = 0;
    for (std::size_t i = static_cast<std::size_t>(step_.update_begin); i < step_.ops.size(); ++i) {
      int moment = 0;
      for (const StorageKey key : step_.ops[i].reads) {
        const char role = RoleOf(key);
        if (role == ' ') continue;
        std::string name = fmt::format("parameter.{}", parameter);
        if (role == 'm') name += fmt::format(".moment{}", ++moment);
        names_.emplace(key, std::move(name));
      }
      ++parameter;
    }
  }

  BufferId AddBuffer(StorageKey key, bool is_persistent, const std::string& place) {
    const auto size = step_.sizes_bytes.find(key);
    if (size == step_.sizes_bytes.end()) {
      throw InputError(place, fmt::format("storage {} has no bytes in \"sto\"", key));
    }
    const char role = RoleOf(key);
    Buffer buffer{.role = role == 'w'     ? BufferRole::kWeight
                          : role == 'm'   ? BufferRole::kOptimizerState
                          : role == 'g'   ? BufferRole::kGradient
                          : is_persistent ? BufferRole::kInput
                                          : BufferRole::kActivation,
                  .size_bytes = size->second,
                  .is_persistent = is_persistent};
    if (role != ' ' && options_.has_doubled_states) buffer.size_bytes *= 2;
    const auto name = names_.find(key);
    if (name != names_.end()) buffer.name = name->second;
    const BufferId id = builder_.Add(buffer);
    if (!buffers_.emplace(key, id).second) {
      throw InputError(place, fmt::format("storage {} exists already", key));
    }
    return id;
  }

  BufferId Find(StorageKey key, const std::string& place) const {
    const auto found = buffers_.find(key);
    if (found == buffers_.end()) {
      throw InputError(place, fmt::format("uses storage {}, which no earlier op makes and which is "
                                          "not persistent",
                                          key));
    }
    return found->second;
  }

  const Step& step_;
  const ForeignOptions& options_;
  const std::string& where_;
  Scale scale_;
  ProfileBuilder builder_{};
  std::map<StorageKey, BufferId> buffers_{};
  std::map<StorageKey, std::string> names_{};
};

}  // namespace

Profile ReadWholeStep(const std::string& text, const std::string& where,
                      const ForeignOptions& options) {
  const Step step = ReadStep(text, where);
  Maker maker(step, options, where);
  for (std::size_t i = 0; i < step.ops.size(); ++i) maker.Add(i);
  return maker.Build();
}

}  // namespace stint::foreign
