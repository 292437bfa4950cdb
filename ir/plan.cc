#include "ir/plan.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/quoted.h"
#include "ir/units.h"
#include "ir/words.h"

namespace stint {
namespace {

// Keeps sums of a few bytes or nanoseconds in range.
constexpr std::int64_t kLargestAmount = std::int64_t{1} << 60;

class PlanValidator {
 public:
  PlanValidator(const Plan& plan, const std::string& where) : plan_(plan), where_(where) {}

  void Run() const {
    CheckHead();
    CheckPlacements("/initial", plan_.initial);
    CheckPlacements("/host", plan_.host);
    CheckPlacements("/snapshot", plan_.snapshot);
    for (std::size_t i = 0; i < plan_.shards.size(); ++i) CheckShard(i);
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
      CheckInstructions(i, "prologue", plan_.phases[i].prologue);
      CheckInstructions(i, "body", plan_.phases[i].body);
      CheckInstructions(i, "epilogue", plan_.phases[i].epilogue);
    }
  }

 private:
  [[noreturn]] void Fail(const std::string& pointer, const std::string& fact) const {
    throw InputError(where_ + ":" + pointer, fact);
  }

  static bool IsAmount(std::int64_t amount) { return amount >= 0 && amount <= kLargestAmount; }
  static bool IsPlace(std::int64_t offset_bytes) {
    return IsAmount(offset_bytes) && offset_bytes % kAlignmentBytes == 0;
  }
  static bool IsId(std::int64_t id) { return id >= 0; }

  void CheckHead() const {
    const bool is_hash =
        plan_.profile_sha256.size() == 64 &&
        plan_.profile_sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!is_hash) Fail("/made_from/profile_sha256", "is no SHA-256 of 64 hexadecimal digits");
    CheckAmount("/made_from/budget_bytes", plan_.budget_bytes);
    CheckAmount("/overhead_bytes", plan_.overhead_bytes);
    CheckAmount("/arena_bytes", plan_.arena_bytes);
    CheckAmount("/peak_bytes", plan_.peak_bytes);
    CheckAmount("/made_from/host_budget_bytes", plan_.host_budget_bytes);
    CheckAmount("/host_bytes", plan_.host_bytes);
    CheckAmount("/snapshot_bytes", plan_.snapshot_bytes);
    CheckAmount("/duration_ns", plan_.duration_ns);
    CheckAmount("/keep_all_duration_ns", plan_.keep_all_duration_ns);
    CheckAmount("/keep_all_peak_bytes", plan_.keep_all_peak_bytes);
    CheckAmount("/lower_bound_ns", plan_.lower_bound_ns);
  }

  void CheckAmount(const std::string& pointer, std::int64_t amount) const {
    if (!IsAmount(amount)) Fail(pointer, fmt::format("{} is not in [0, 2^60]", amount));
  }

  void CheckPlacements(const std::string& pointer, const std::vector<Placement>& places) const {
    for (std::size_t i = 0; i < places.size(); ++i) {
      const std::string place = fmt::format("{}/{}", pointer, i);
      if (!IsId(static_cast<std::int32_t>(places[i].buffer))) Fail(place, "has a negative buffer");
      if (!IsPlace(places[i].offset_bytes)) {
        Fail(place, fmt::format("offset_bytes {} is no multiple of 512 in [0, 2^60]",
                                places[i].offset_bytes));
      }
      if (i > 0 && places[i].buffer <= places[i - 1].buffer) {
        Fail(place, "is not in ascending order of buffers");
      }
    }
  }

  void CheckShard(std::size_t i) const {
    const Shard& shard = plan_.shards[i];
    const std::string pointer = fmt::format("/shards/{}", i);
    CheckPlacements(pointer + "/members", shard.members);
    if (!IsPlace(shard.host_offset_bytes)) {
      Fail(pointer, "host_offset_bytes is no multiple of 512 in [0, 2^60]");
    }
    if (!IsPlace(shard.size_bytes)) Fail(pointer, "size_bytes is no multiple of 512 in [0, 2^60]");
    if (shard.members.empty()) Fail(pointer, "has no members");
  }

  void CheckInstructions(std::size_t phase, const char* part,
                         const std::vector<Instruction>& instructions) const {
    for (std::size_t i = 0; i < instructions.size(); ++i) {
      const char* fact = FaultOf(instructions[i]);
      if (fact != nullptr) Fail(fmt::format("/phases/{}/{}/{}", phase, part, i), fact);
    }
  }

  /// What is wrong with the form of one instruction; null if nothing is.
  static const char* FaultOf(const Instruction& instruction) {
    const bool is_compute = instruction.kind == InstructionKind::kCompute;
    if (is_compute && (instruction.buffer || instruction.shard)) {
      return "is a compute, which has no buffer and no shard";
    }
    if (!is_compute && instruction.op != OpId{}) return "is no compute, but has an op";
    if (!is_compute && !instruction.request_offsets.empty()) {
      return "is no compute, but has request_offsets";
    }
    if (!is_compute && !instruction.discards.empty()) return "is no compute, but has discards";
    if (!is_compute && instruction.buffer.has_value() == instruction.shard.has_value()) {
      return "needs a buffer or a shard, and not both";
    }
    if (instruction.kind == InstructionKind::kFree && instruction.shard) {
      return "is a free, which takes a buffer and no shard";
    }
    if (instruction.kind != InstructionKind::kFetch && instruction.offset_bytes != 0) {
      return "is no fetch, but has offset_bytes";
    }
    if (!IsPlace(instruction.offset_bytes)) {
      return "has an offset_bytes that is no multiple of 512 in [0, 2^60]";
    }
    for (const std::int64_t offset_bytes : instruction.request_offsets) {
      if (!IsPlace(offset_bytes)) {
        return "has a request offset that is no multiple of 512 in [0, 2^60]";
      }
    }
    for (std::size_t i = 1; i < instruction.discards.size(); ++i) {
      if (instruction.discards[i] <= instruction.discards[i - 1]) {
        return "has discards that do not ascend";
      }
    }
    const bool has_negative_id =
        !IsId(static_cast<std::int32_t>(instruction.op)) ||
        (instruction.buffer && !IsId(static_cast<std::int32_t>(*instruction.buffer))) ||
        (instruction.shard && !IsId(static_cast<std::int32_t>(*instruction.shard))) ||
        (!instruction.discards.empty() &&
         !IsId(static_cast<std::int32_t>(instruction.discards.front())));
    return has_negative_id ? "has a negative id" : nullptr;
  }

  const Plan& plan_;
  const std::string& where_;
};

}  // namespace

const char* ToString(InstructionKind kind) { return WordOf(kind); }
const char* ToString(PlanStatus status) { return WordOf(status); }
const char* ToString(BoundRow row) { return WordOf(row); }

void Validate(const Plan& plan, const std::string& where) { PlanValidator(plan, where).Run(); }

Plan ReadPlan(const std::filesystem::path& path) {
  return PlanFromJson(ReadText(path), path == "-" ? "standard input" : path.string());
}

void WritePlan(const Plan& plan, const std::filesystem::path& path) {
  WriteText(path, ToJson(plan));
}

std::string NameOf(const Profile& profile, const Plan& plan, const Instruction& move) {
  if (!move.shard)
    return fmt::format("{} of {}", ToString(move.kind), NameOf(profile, *move.buffer));
  const std::string& name = plan.shards[Index(*move.shard)].name;
  return fmt::format("{} of shard {}{}", ToString(move.kind), Index(*move.shard),
                     name.empty() ? "" : fmt::format(" ({})", Quoted(name)));
}

}  // namespace stint
