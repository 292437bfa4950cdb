// The form of "stint.profile/1"; docs/formats.md explains it to people.
#include <cmath>
#include <optional>
#include <string>
#include <variant>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/json_fields.h"
#include "ir/profile.h"

namespace stint {
namespace {

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

template <typename T>
void WriteTagged(JsonWriter& json, std::string_view tag, const T& value) {
  ObjectWriter members(json);
  members.Field(tag, value);
  members.Close();
}

template <typename T>
T ReadInto(JsonReader& json) {
  T value{};
  ReadValue(json, value);
  return value;
}

Argument ReadTagged(JsonReader& json, std::string_view tag) {
  if (tag == "tensor") return TensorArgument{.tensor = ReadInto<TensorId>(json)};
  if (tag == "tensors") {
    return TensorListArgument{.tensors = ReadInto<std::vector<std::optional<TensorId>>>(json)};
  }
  if (tag == "ints") return IntListArgument{.values = ReadInto<std::vector<std::int64_t>>(json)};
  if (tag == "doubles") return DoubleListArgument{.values = ReadInto<std::vector<double>>(json)};
  if (tag == "bools") return BoolListArgument{.values = ReadInto<std::vector<bool>>(json)};
  if (tag == "number") return ReadInto<WrappedNumber>(json);
  if (tag == "device") return DeviceArgument{.device = json.String()};
  if (tag == "double") return json.Double();
  json.Fail(
      "is an unknown kind of argument, expected one of tensor, tensors, ints, doubles, bools, "
      "number, device, double");
}

}  // namespace

void WriteJson(JsonWriter& json, const Argument& argument) {
  std::visit(
      Overloaded{
          [&](const NoArgument&) { json.Null(); }, [&](bool value) { json.Bool(value); },
          [&](std::int64_t value) { json.Integer(value); },
          [&](double value) {
            if (std::isfinite(value)) {
              json.Double(value);
            } else {
              WriteTagged(json, "double", value);
            }
          },
          [&](const std::string& value) { json.String(value); },
          [&](const TensorArgument& one) { WriteTagged(json, "tensor", one.tensor); },
          [&](const TensorListArgument& list) { WriteTagged(json, "tensors", list.tensors); },
          [&](const IntListArgument& list) { WriteTagged(json, "ints", list.values); },
          [&](const DoubleListArgument& list) { WriteTagged(json, "doubles", list.values); },
          [&](const BoolListArgument& list) { WriteTagged(json, "bools", list.values); },
          [&](const WrappedNumber& number) { WriteTagged(json, "number", number); },
          [&](const DeviceArgument& one) { WriteTagged(json, "device", one.device); }},
      argument);
}

void ReadJson(JsonReader& json, Argument& argument) {
  switch (json.Peek()) {
    case JsonKind::kNull:
      json.Null();
      argument = NoArgument{};
      return;
    case JsonKind::kBool:
      argument = json.Bool();
      return;
    case JsonKind::kNumber:
      std::visit([&](auto number) { argument = number; }, json.Number());
      return;
    case JsonKind::kString:
      argument = json.String();
      return;
    case JsonKind::kArray:
      json.Fail(R"(is a list, which needs a name, like {"ints": [1, 2]})");
    case JsonKind::kObject: {
      int member_count = 0;
      json.Object([&](std::string_view tag) {
        if (++member_count > 1) json.Fail("is a second kind for one argument");
        argument = ReadTagged(json, tag);
      });
      if (member_count == 0) json.Fail("lacks the kind of the argument");
    }
  }
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<WrappedNumber>& number) {
  io.Field("dtype", number.dtype);
  io.Field("value", number.value);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Workload>& workload) {
  io.Field("model", workload.model);
  io.Field("config_json", workload.config_json);
  io.Field("task", workload.task);
  io.Field("dtype", workload.dtype);
  io.Field("attention", workload.attention);
  io.Optional("prediction", workload.prediction);
  io.Field("batch_count", workload.batch_count);
  io.Field("height_px", workload.height_px);
  io.Field("width_px", workload.width_px);
  io.Field("micro_step_count", workload.micro_step_count);
  io.Field("lora_rank", workload.lora_rank);
  io.Optional("layout", workload.layout, "nchw");
  io.Optional("update_group_bytes", workload.update_group_bytes);
  io.Optional("clip_norm", workload.clip_norm);
  io.Optional("autocast", workload.autocast);
  io.Optional("rounding", workload.rounding, "nearest");
  io.Optional("has_ema", workload.has_ema);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<CopyTime>& copy) {
  io.Field("size_bytes", copy.size_bytes);
  io.Field("to_host_ns", copy.to_host_ns);
  io.Field("to_device_ns", copy.to_device_ns);
  io.Field("both_ns", copy.both_ns);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Device>& device) {
  io.Field("kind", device.kind);
  io.Field("name", device.name);
  io.Field("memory_bytes", device.memory_bytes);
  io.Field("thread_count", device.thread_count);
  io.Field("overhead_bytes", device.overhead_bytes);
  io.Field("graph_node_bytes", device.graph_node_bytes);
  io.Field("copy_times", device.copy_times);
  io.Optional("wait_ns", device.wait_ns);
  io.Optional("copy_slowdown_permille", device.copy_slowdown_permille);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Buffer>& buffer) {
  io.Optional("name", buffer.name);
  io.Field("role", buffer.role);
  io.Field("size_bytes", buffer.size_bytes);
  io.Optional("is_persistent", buffer.is_persistent);
  io.Optional("is_host", buffer.is_host);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Tensor>& tensor) {
  io.Field("buffer", tensor.buffer);
  io.Field("dtype", tensor.dtype);
  io.Field("sizes", tensor.sizes);
  io.Field("strides", tensor.strides);
  io.Optional("storage_offset", tensor.storage_offset);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Request>& request) {
  io.Field("size_bytes", request.size_bytes);
  io.Optional("buffer", request.buffer);
  io.Optional("freed_after_request", request.freed_after_request, -1);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<RandomSource>& random) {
  io.Field("seed", random.seed);
  io.Field("offset", random.offset);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Op>& op) {
  io.Field("name", op.name);
  io.Optional("module", op.module);
  io.Field("arguments", op.arguments);
  io.Field("outputs", op.outputs);
  io.Optional("writes", op.writes);
  io.Optional("requests", op.requests);
  io.Optional("random", op.random);
  io.Optional("is_backward", op.is_backward);
  io.Field("duration_ns", op.duration_ns);
  io.Optional("spread_ns", op.spread_ns);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Phase>& phase) {
  io.Field("name", phase.name);
  io.Field("begin", phase.begin);
  io.Field("end", phase.end);
  io.Field("repeat_count", phase.repeat_count);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Profile>& profile) {
  io.Schema("stint.profile/1");
  io.Field("workload", profile.workload);
  io.Field("device", profile.device);
  io.Field("is_deterministic", profile.is_deterministic);
  io.Lines("buffers", profile.buffers);
  io.Lines("tensors", profile.tensors);
  io.Lines("ops", profile.ops);
  io.Lines("phases", profile.phases);
  io.Context(profile.context);
}

std::string ToJson(const Profile& profile) { return WriteArtifact(profile, ContextUse::kWrite); }

Profile ProfileFromJson(const std::string& text, const std::string& where) {
  auto profile = ReadArtifact<Profile>(text, where);
  Validate(profile, where);
  return profile;
}

std::string ProfileSha256(const Profile& profile) {
  return Sha256(WriteArtifact(profile, ContextUse::kOmit));
}

}  // namespace stint
