#include "planner/schedule.h"

#include <algorithm>

#include "ir/errors.h"

namespace stint {
namespace {

/// Adds the instructions of one list to running totals.
class Meter {
 public:
  Meter(const Program& program) : program_(program), live_bytes_(program.persistent_bytes) {
    totals_.peak_bytes = live_bytes_;
  }

  void Add(const std::vector<Instruction>& instructions, std::int64_t repeat_count) {
    for (const Instruction& instruction : instructions) {
      if (instruction.kind == InstructionKind::kCompute) {
        AddCompute(instruction, repeat_count);
      } else {
        Check(instruction.kind == InstructionKind::kFree, "schedules here only compute and free");
        live_bytes_ -= program_.buffers[Index(*instruction.buffer)].residence_bytes;
      }
    }
  }

  const ScheduleTotals& totals() const { return totals_; }

 private:
  void AddCompute(const Instruction& instruction, std::int64_t repeat_count) {
    const ProgramOp& op = program_.ops[Index(instruction.op)];
    totals_.peak_bytes = std::max(totals_.peak_bytes, live_bytes_ + op.script_peak_bytes);
    totals_.duration_ns += op.duration_ns * repeat_count;
    for (const BufferId buffer : op.creates) {
      if (!std::binary_search(instruction.discards.begin(), instruction.discards.end(), buffer)) {
        live_bytes_ += program_.buffers[Index(buffer)].residence_bytes;
      }
    }
  }

  const Program& program_;
  std::int64_t live_bytes_ = 0;
  ScheduleTotals totals_{};
};

}  // namespace

Instruction ComputeInstruction(OpId op, std::vector<BufferId> discards) {
  std::sort(discards.begin(), discards.end());
  return {.kind = InstructionKind::kCompute, .op = op, .discards = std::move(discards)};
}

Instruction FreeInstruction(BufferId buffer) {
  return {.kind = InstructionKind::kFree, .buffer = buffer};
}

ScheduleTotals Measure(const Profile& profile, const Program& program, const Schedule& schedule) {
  Meter meter(program);
  for (std::size_t i = 0; i < schedule.phases.size(); ++i) {
    meter.Add(schedule.phases[i].prologue, 1);
    meter.Add(schedule.phases[i].body, profile.phases[i].repeat_count);
    meter.Add(schedule.phases[i].epilogue, 1);
  }
  return meter.totals();
}

Schedule KeepAllSchedule(const Profile& profile, const Program& program) {
  Schedule schedule{.phases = std::vector<PhasePlan>(profile.phases.size())};
  for (std::int32_t i = 0; i < program.op_count; ++i) {
    const ProgramOp& op = program.ops[static_cast<std::size_t>(i)];
    PhasePlan& phase = schedule.phases[static_cast<std::size_t>(op.phase)];
    std::vector<BufferId> discards{};
    for (const BufferId buffer : op.creates) {
      if (program.buffers[Index(buffer)].uses.empty()) {
        discards.push_back(buffer);
      }
    }
    phase.body.push_back(ComputeInstruction(op.id, std::move(discards)));
    for (const BufferId buffer : op.reads) {
      if (program.buffers[Index(buffer)].uses.back() == i) {
        (DiesInEpilogue(profile, program, buffer) ? phase.epilogue : phase.body)
            .push_back(FreeInstruction(buffer));
      }
    }
  }
  return schedule;
}

}  // namespace stint
