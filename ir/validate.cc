// Validate(profile): the properties that profile.h states, in the order of its fields.
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/errors.h"
#include "ir/profile.h"
#include "ir/quoted.h"

namespace stint {
namespace {

// Everything a profile asks for, together. Keeps every sum of bytes or nanoseconds in range.
constexpr std::int64_t kLargestTotal = std::int64_t{1} << 60;

/// Adds up what may come from a hostile file.
class Total {
 public:
  /// False if the sum of all `count` * `amount` so far is above the limit. Both are >= 0.
  bool Add(std::int64_t amount, std::int64_t count = 1) {
    std::int64_t product = 0;
    return !__builtin_mul_overflow(amount, count, &product) && product <= kLargestTotal &&
           (sum_ += product) <= kLargestTotal;
  }

 private:
  std::int64_t sum_ = 0;
};

class Validator {
 public:
  Validator(const Profile& profile, const std::string& where)
      : profile_(profile), where_(where), has_value_(profile.buffers.size()) {}

  void Run() {
    CheckWorkload();
    CheckDevice();
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) CheckBuffer(i);
    for (std::size_t i = 0; i < profile_.tensors.size(); ++i) CheckTensor(i);
    CheckPhases();
    for (std::size_t i = 0; i < profile_.ops.size(); ++i) CheckOp(i);
    CheckDurations();
  }

 private:
  template <typename... Parts>
  [[noreturn]] void Fail(std::string_view fact, const Parts&... pointer) const {
    std::string place = where_ + ":";
    ((place += fmt::format("/{}", pointer)), ...);
    throw InputError(place, std::string(fact));
  }

  template <typename Id, typename Noun>
  static bool IsIn(const std::vector<Noun>& nouns, Id id) {
    return static_cast<std::int32_t>(id) >= 0 && Index(id) < nouns.size();
  }

  std::string Name(BufferId id) const { return NameOf(profile_, id); }

  void CheckWorkload() const {
    const Workload& workload = profile_.workload;
    if (workload.batch_count < 0) Fail("is negative", "workload", "batch_count");
    if (workload.height_px < 0) Fail("is negative", "workload", "height_px");
    if (workload.width_px < 0) Fail("is negative", "workload", "width_px");
    if (workload.micro_step_count < 1) Fail("is less than 1", "workload", "micro_step_count");
    if (workload.lora_rank < 0) Fail("is negative", "workload", "lora_rank");
  }

  void CheckDevice() const {
    const Device& device = profile_.device;
    const auto is_amount = [](std::int64_t amount) {
      return amount >= 0 && amount <= kLargestTotal;
    };
    if (!is_amount(device.memory_bytes)) Fail("is not in [0, 2^60]", "device", "memory_bytes");
    if (device.thread_count < 0) Fail("is negative", "device", "thread_count");
    if (!is_amount(device.overhead_bytes)) Fail("is not in [0, 2^60]", "device", "overhead_bytes");
    if (device.graph_node_bytes < 0 || device.graph_node_bytes > (std::int64_t{1} << 30)) {
      Fail("is not in [0, 2^30]", "device", "graph_node_bytes");
    }
    if (!is_amount(device.wait_ns)) Fail("is not in [0, 2^60]", "device", "wait_ns");
    if (device.copy_slowdown_permille < 0 || device.copy_slowdown_permille > 1000) {
      Fail("is not in [0, 1000]", "device", "copy_slowdown_permille");
    }
    std::int64_t previous_bytes = 0;
    for (std::size_t i = 0; i < device.copy_times.size(); ++i) {
      const CopyTime& copy = device.copy_times[i];
      if (copy.size_bytes <= previous_bytes) {
        Fail("is not larger than the one before", "device", "copy_times", i, "size_bytes");
      }
      previous_bytes = copy.size_bytes;
      if (!is_amount(copy.to_host_ns) || !is_amount(copy.to_device_ns) ||
          !is_amount(copy.both_ns)) {
        Fail("has a time that is not in [0, 2^60]", "device", "copy_times", i);
      }
    }
  }

  void CheckBuffer(std::size_t i) {
    const Buffer& buffer = profile_.buffers[i];
    if (buffer.size_bytes < 0) Fail("is negative", "buffers", i, "size_bytes");
    if (!total_bytes_.Add(buffer.size_bytes)) {
      Fail("with the buffers before holds more than 2^60 bytes", "buffers", i);
    }
    const bool must_persist =
        buffer.role == BufferRole::kConstant || buffer.role == BufferRole::kWorkspace;
    if (must_persist && !buffer.is_persistent) {
      Fail(fmt::format("has the role {}, but is not persistent", ToString(buffer.role)), "buffers",
           i);
    }
    has_value_[i] = buffer.is_persistent;
  }

  void CheckTensor(std::size_t i) const {
    const Tensor& tensor = profile_.tensors[i];
    if (!IsIn(profile_.buffers, tensor.buffer)) Fail("is no buffer", "tensors", i, "buffer");
    const std::int64_t element_bytes = ElementBytes(tensor.dtype);
    if (element_bytes == 0) {
      Fail(fmt::format("'{}' is no dtype that Stint knows", Quoted(tensor.dtype)), "tensors", i,
           "dtype");
    }
    if (tensor.strides.size() != tensor.sizes.size()) {
      Fail(fmt::format("has {} strides for {} sizes", tensor.strides.size(), tensor.sizes.size()),
           "tensors", i, "strides");
    }
    bool is_empty = false;
    bool is_in_range = tensor.storage_offset >= 0;
    std::int64_t last_element = tensor.storage_offset;
    for (std::size_t axis = 0; axis < tensor.sizes.size(); ++axis) {
      if (tensor.sizes[axis] < 0) Fail("is negative", "tensors", i, "sizes", axis);
      if (tensor.strides[axis] < 0) Fail("is negative", "tensors", i, "strides", axis);
      is_empty = is_empty || tensor.sizes[axis] == 0;
      std::int64_t reach = 0;
      is_in_range = is_in_range &&
                    !__builtin_mul_overflow(tensor.sizes[axis] - 1, tensor.strides[axis], &reach) &&
                    !__builtin_add_overflow(last_element, reach, &last_element);
    }
    if (tensor.storage_offset < 0) Fail("is negative", "tensors", i, "storage_offset");
    if (is_empty) return;
    const std::int64_t element_count =
        profile_.buffers[Index(tensor.buffer)].size_bytes / element_bytes;
    if (!is_in_range || last_element >= element_count) {
      Fail(fmt::format("reaches beyond the end of {}", Name(tensor.buffer)), "tensors", i);
    }
  }

  /// Bytes of one element; 0 for an unknown dtype.
  std::int64_t ElementBytes(const std::string& dtype) const {
    try {
      return stint::ElementBytes(dtype, where_);
    } catch (const InputError&) {
      return 0;
    }
  }

  void CheckPhases() const {
    std::size_t next_op = 0;
    for (std::size_t i = 0; i < profile_.phases.size(); ++i) {
      const Phase& phase = profile_.phases[i];
      if (Index(phase.begin) != next_op) {
        Fail("does not begin where the phase before ends", "phases", i, "begin");
      }
      if (phase.end <= phase.begin || Index(phase.end) > profile_.ops.size()) {
        Fail("is not behind its begin or behind the last op", "phases", i, "end");
      }
      if (phase.repeat_count < 1) Fail("is less than 1", "phases", i, "repeat_count");
      next_op = Index(phase.end);
    }
    if (next_op != profile_.ops.size()) {
      Fail(fmt::format("cover {} of {} ops", next_op, profile_.ops.size()), "phases");
    }
  }

  void CheckOp(std::size_t i) {
    const Op& op = profile_.ops[i];
    if (op.name.find("::") == std::string::npos) {
      Fail("is no operator: it lacks a namespace like \"aten::\"", "ops", i, "name");
    }
    for (std::size_t k = 0; k < op.arguments.size(); ++k) CheckArgument(i, k);
    CheckWrites(i);
    created_.clear();
    for (std::size_t k = 0; k < op.requests.size(); ++k) CheckRequest(i, k);
    for (std::size_t k = 0; k < op.outputs.size(); ++k) CheckOutput(i, k);
    for (const BufferId id : created_) has_value_[Index(id)] = true;
    if (op.duration_ns < 0) Fail("is negative", "ops", i, "duration_ns");
    if (op.spread_ns < 0) Fail("is negative", "ops", i, "spread_ns");
  }

  void CheckArgument(std::size_t op, std::size_t k) const {
    const Argument& argument = profile_.ops[op].arguments[k];
    if (const auto* one = std::get_if<TensorArgument>(&argument)) {
      CheckRead(one->tensor, op, k);
    } else if (const auto* list = std::get_if<TensorListArgument>(&argument)) {
      for (const std::optional<TensorId>& id : list->tensors) {
        if (id) CheckRead(*id, op, k);
      }
    }
  }

  void CheckRead(TensorId id, std::size_t op, std::size_t k) const {
    if (!IsIn(profile_.tensors, id)) {
      Fail(fmt::format("{} is no tensor", static_cast<std::int32_t>(id)), "ops", op, "arguments",
           k);
    }
    const BufferId buffer = profile_.tensors[Index(id)].buffer;
    if (!has_value_[Index(buffer)]) {
      Fail(fmt::format("reads {}, which no earlier op has made", Name(buffer)), "ops", op,
           "arguments", k);
    }
  }

  void CheckWrites(std::size_t i) const {
    const std::vector<BufferId>& writes = profile_.ops[i].writes;
    for (std::size_t k = 0; k < writes.size(); ++k) {
      if (!IsIn(profile_.buffers, writes[k])) Fail("is no buffer", "ops", i, "writes", k);
      if (k > 0 && writes[k] <= writes[k - 1]) Fail("is not ascending", "ops", i, "writes");
      const Buffer& buffer = profile_.buffers[Index(writes[k])];
      if (!has_value_[Index(writes[k])]) {
        Fail(fmt::format("{} is written in place before it holds a value", Name(writes[k])), "ops",
             i, "writes", k);
      }
      if (buffer.role == BufferRole::kConstant) {
        Fail(fmt::format("{} is a constant", Name(writes[k])), "ops", i, "writes", k);
      }
    }
  }

  void CheckRequest(std::size_t op, std::size_t k) {
    const std::vector<Request>& requests = profile_.ops[op].requests;
    const Request& request = requests[k];
    if (request.size_bytes <= 0) Fail("is not positive", "ops", op, "requests", k, "size_bytes");
    if (!total_bytes_.Add(request.size_bytes)) {
      Fail("with the requests before asks for more than 2^60 bytes", "ops", op, "requests", k);
    }
    if (!request.buffer) {
      if (request.freed_after_request < static_cast<std::int64_t>(k) ||
          request.freed_after_request >= static_cast<std::int64_t>(requests.size())) {
        Fail("is no request from this one to the last", "ops", op, "requests", k,
             "freed_after_request");
      }
      return;
    }
    if (request.freed_after_request != -1) {
      Fail("is given for a request that becomes a buffer", "ops", op, "requests", k,
           "freed_after_request");
    }
    if (!IsIn(profile_.buffers, *request.buffer)) {
      Fail("is no buffer", "ops", op, "requests", k, "buffer");
    }
    const Buffer& buffer = profile_.buffers[Index(*request.buffer)];
    if (has_value_[Index(*request.buffer)] || IsCreated(*request.buffer)) {
      Fail(fmt::format("{} exists already", Name(*request.buffer)), "ops", op, "requests", k,
           "buffer");
    }
    if (buffer.is_host) Fail("is a host buffer", "ops", op, "requests", k, "buffer");
    if (buffer.size_bytes != request.size_bytes) {
      Fail(fmt::format("asks for {} bytes, but {} has {}", request.size_bytes,
                       Name(*request.buffer), buffer.size_bytes),
           "ops", op, "requests", k);
    }
    created_.push_back(*request.buffer);
  }

  void CheckOutput(std::size_t op, std::size_t k) {
    const std::optional<TensorId>& id = profile_.ops[op].outputs[k];
    if (!id) return;
    if (!IsIn(profile_.tensors, *id)) Fail("is no tensor", "ops", op, "outputs", k);
    const BufferId output = profile_.tensors[Index(*id)].buffer;
    if (IsCreated(output)) return;
    const Buffer& buffer = profile_.buffers[Index(output)];
    if (!has_value_[Index(output)]) {
      if (buffer.size_bytes > 0 && !buffer.is_host) {
        Fail(fmt::format("{} is new, but no request becomes it", Name(output)), "ops", op,
             "outputs", k);
      }
      created_.push_back(output);
      return;
    }
    for (const BufferId written : profile_.ops[op].writes) {
      if (written == output) return;
    }
    Fail(fmt::format("{} exists already and is not among the writes", Name(output)), "ops", op,
         "outputs", k);
  }

  bool IsCreated(BufferId id) const {
    for (const BufferId created : created_) {
      if (created == id) return true;
    }
    return false;
  }

  void CheckDurations() const {
    Total total;
    for (std::size_t i = 0; i < profile_.phases.size(); ++i) {
      const Phase& phase = profile_.phases[i];
      for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
        if (!total.Add(profile_.ops[op].duration_ns, phase.repeat_count)) {
          Fail("with the ops before takes more than 2^60 ns", "ops", op, "duration_ns");
        }
      }
    }
  }

  const Profile& profile_;
  const std::string& where_;
  std::vector<bool> has_value_;      // Of each buffer, at the op being checked.
  std::vector<BufferId> created_{};  // By the op being checked.
  Total total_bytes_{};
};

}  // namespace

void Validate(const Profile& profile, const std::string& where) { Validator(profile, where).Run(); }

}  // namespace stint
