#include "planner/lookahead.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ir/errors.h"
#include "planner/residency.h"
#include "planner/schedule.h"

namespace stint {
namespace {

class Lookahead {
 public:
  Lookahead(const Profile& profile, const Program& program, std::int64_t budget_bytes,
            const EvictionRule& rule, EvictionScorer* scorer, std::int64_t duration_limit_ns,
            WorkMeter& work)
      : profile_(profile),
        program_(program),
        budget_bytes_(budget_bytes),
        headroom_bytes_(static_cast<std::int64_t>(
            rule.headroom * static_cast<double>(budget_bytes - program.persistent_bytes))),
        rule_(rule),
        scorer_(scorer),
        duration_limit_ns_(duration_limit_ns),
        work_(work),
        residency_(program),
        verdicts_(program.buffers.size()) {
    // distance^-power for every distance; outputs are needed at op_count.
    nearness_.resize(program.ops.size() + 2);
    for (std::size_t i = 0; i < nearness_.size(); ++i) {
      nearness_[i] =
          std::pow(static_cast<double>(std::max<std::size_t>(i, 1)), -rule.distance_power);
    }
    for (std::int32_t i = 0; i < program.op_count; ++i) {
      duration_ns_ += DurationOf(i);
    }
  }

  std::optional<Schedule> Build() {
    schedule_.phases.resize(profile_.phases.size());
    for (std::size_t i = 0; i < profile_.phases.size(); ++i) {
      if (!BuildPhase(profile_.phases[i], schedule_.phases[i])) {
        return std::nullopt;
      }
    }
    // Outputs that were evicted come back, and stay.
    if (!Acquire(OutputsThatStay())) {
      return std::nullopt;
    }
    return std::move(schedule_);
  }

 private:
  /// What a candidate's eviction means, without its distance.
  struct Verdict {
    std::int32_t possible_until = kNoOp;
    double weight = 0;
  };

  std::int64_t DurationOf(std::int32_t op) const {
    const ProgramOp& facts = program_.ops[static_cast<std::size_t>(op)];
    return facts.duration_ns * profile_.phases[static_cast<std::size_t>(facts.phase)].repeat_count;
  }

  bool BuildPhase(const Phase& phase, PhasePlan& plan) {
    const auto begin = static_cast<std::int32_t>(Index(phase.begin));
    const auto end = static_cast<std::int32_t>(Index(phase.end));
    // A repeated body must find at its end what it found at its start: what it reads from before
    // stays, and comes back before it if it was evicted.
    repeated_begin_ = phase.repeat_count > 1 ? begin : kNoOp;
    phase_plan_ = &plan;
    out_ = &plan.prologue;
    const std::vector<BufferId> held =
        phase.repeat_count > 1 ? ReadFromBefore(begin, end) : std::vector<BufferId>{};
    if (!Acquire(held)) {
      return false;
    }
    out_ = &plan.body;
    for (std::int32_t i = begin; i < end; ++i) {
      if (!RunStep(i)) {
        return false;
      }
    }
    out_ = &plan.epilogue;
    Release(held);
    return true;
  }

  std::vector<BufferId> OutputsThatStay() const {
    std::vector<BufferId> buffers{};
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      const std::vector<std::int32_t>& uses = program_.buffers[i].uses;
      if (!uses.empty() && uses.back() == program_.op_count) {
        buffers.push_back(BufferId{static_cast<std::int32_t>(i)});
      }
    }
    return buffers;
  }

  std::vector<BufferId> ReadFromBefore(std::int32_t begin, std::int32_t end) const {
    std::vector<BufferId> buffers{};
    for (std::int32_t i = begin; i < end; ++i) {
      for (const BufferId buffer : program_.ops[static_cast<std::size_t>(i)].reads) {
        if (program_.buffers[Index(buffer)].creator < begin) {
          buffers.push_back(buffer);
        }
      }
    }
    std::sort(buffers.begin(), buffers.end());
    buffers.erase(std::unique(buffers.begin(), buffers.end()), buffers.end());
    return buffers;
  }

  bool RunStep(std::int32_t step) {
    const ProgramOp& op = program_.ops[static_cast<std::size_t>(step)];
    if (!Acquire(op.reads) || !MakeRoom(op.script_peak_bytes, headroom_bytes_)) {
      return false;
    }
    std::vector<BufferId> kept{};
    EmitCompute(op, kept);
    residency_.Advance();
    for (const BufferId buffer : kept) {
      residency_.BeginResidence(buffer);
    }
    Release(op.reads);
    return !work_.IsSpent();
  }

  /// Runs the creator of `buffer` again, and first whatever it takes to do so.
  bool Recompute(BufferId buffer) {
    const std::int32_t creator = program_.buffers[Index(buffer)].creator;
    const ProgramOp& op = program_.ops[static_cast<std::size_t>(creator)];
    Check(op.is_recomputable && residency_.step() <= op.readable_until &&
              residency_.IsAsCreated(buffer),
          "what was evicted can be made again");
    const std::int64_t repeat_count =
        out_ == &phase_plan_->body ? profile_.phases[Index(CurrentPhase())].repeat_count : 1;
    duration_ns_ += op.duration_ns * repeat_count;
    if (duration_ns_ >= duration_limit_ns_ || work_.IsSpent()) {
      return false;
    }
    if (!Acquire(op.reads) || !MakeRoom(op.script_peak_bytes, 0)) {
      return false;
    }
    std::vector<BufferId> kept{};
    EmitCompute(op, kept);
    for (const BufferId made : kept) {
      residency_.BeginResidence(made);
    }
    Release(op.reads);
    return true;
  }

  PhaseId CurrentPhase() const {
    return PhaseId{static_cast<std::int32_t>(phase_plan_ - schedule_.phases.data())};
  }

  /// Pins all of `buffers`, then makes them resident.
  bool Acquire(const std::vector<BufferId>& buffers) {
    for (const BufferId buffer : buffers) {
      residency_.Pin(buffer);
    }
    for (const BufferId buffer : buffers) {
      if (!residency_.IsResident(buffer) && !Recompute(buffer)) {
        return false;
      }
    }
    return true;
  }

  /// Unpins them; what has no further use goes.
  void Release(const std::vector<BufferId>& buffers) {
    for (const BufferId buffer : buffers) {
      residency_.Unpin(buffer);
    }
    for (const BufferId buffer : buffers) {
      FreeIfUseless(buffer);
    }
  }

  void FreeIfUseless(BufferId buffer) {
    if (!residency_.IsResident(buffer) || residency_.IsPinned(buffer) ||
        residency_.Need(buffer) != kNever) {
      return;
    }
    residency_.EndResidence(buffer);
    out_->push_back(FreeInstruction(buffer));
  }

  void EmitCompute(const ProgramOp& op, std::vector<BufferId>& kept) {
    std::vector<BufferId> discards{};
    for (const BufferId buffer : op.creates) {
      const bool is_kept = !residency_.IsResident(buffer) && residency_.Need(buffer) != kNever;
      (is_kept ? kept : discards).push_back(buffer);
    }
    out_->push_back(ComputeInstruction(op.id, std::move(discards)));
    if (scorer_ != nullptr) scorer_->SawRun(op, kept);
    work_.Add(1);
  }

  /// Evicts until `needed_bytes` fit beside what is resident; leaves `headroom_bytes` more if that
  /// is possible.
  bool MakeRoom(std::int64_t needed_bytes, std::int64_t headroom_bytes) {
    while (residency_.resident_bytes() + needed_bytes + headroom_bytes > budget_bytes_) {
      if (!EvictOne()) {
        return residency_.resident_bytes() + needed_bytes <= budget_bytes_;
      }
    }
    return true;
  }

  bool EvictOne() {
    std::optional<BufferId> best{};
    double best_score = std::numeric_limits<double>::infinity();
    work_.Add(static_cast<std::int64_t>(residency_.candidates().size()));
    for (const BufferId buffer : residency_.candidates()) {
      if (residency_.IsPinned(buffer)) {
        continue;
      }
      if (residency_.IsStale(buffer)) {
        Judge(buffer);
      }
      const Verdict& verdict = verdicts_[Index(buffer)];
      const std::int32_t need = residency_.Need(buffer);
      if (verdict.possible_until < need) {
        continue;
      }
      const double score =
          scorer_ != nullptr
              ? scorer_->Score(buffer)
              : verdict.weight * nearness_[static_cast<std::size_t>(need - residency_.step())];
      if (score < best_score || (score == best_score && buffer < *best)) {
        best = buffer;
        best_score = score;
      }
    }
    if (!best) {
      return false;
    }
    Judge(*best);  // Marks of staleness stop after a few hundred ops; this one must be right.
    if (verdicts_[Index(*best)].possible_until >= residency_.Need(*best)) {
      Evict(*best);
    }
    return true;
  }

  void Judge(BufferId buffer) {
    const Remake remake = residency_.RemakeOf(buffer);
    work_.Add(remake.op_count);
    residency_.ClearStale(buffer);
    const auto cost_ns = static_cast<double>(remake.cost_ns + 1);
    const auto size_bytes = static_cast<double>(program_.buffers[Index(buffer)].residence_bytes);
    verdicts_[Index(buffer)] = {
        .possible_until = remake.possible_until,
        .weight = std::pow(cost_ns, rule_.cost_power) / std::pow(size_bytes, rule_.bytes_power)};
  }

  void Evict(BufferId buffer) {
    residency_.EndResidence(buffer);
    if (scorer_ != nullptr) scorer_->SawEviction(buffer);
    // What a repeated body does not read cannot leave inside it: it leaves before it.
    const bool is_from_before =
        out_ == &phase_plan_->body && program_.buffers[Index(buffer)].creator < repeated_begin_;
    (is_from_before ? phase_plan_->prologue : *out_).push_back(FreeInstruction(buffer));
  }

  const Profile& profile_;
  const Program& program_;
  std::int64_t budget_bytes_ = 0;
  std::int64_t headroom_bytes_ = 0;
  EvictionRule rule_{};
  EvictionScorer* scorer_ = nullptr;  // If not null, it decides and not the rule.
  std::int64_t duration_limit_ns_ = 0;
  WorkMeter& work_;
  Residency residency_;
  std::vector<Verdict> verdicts_{};
  std::vector<double> nearness_{};
  Schedule schedule_{};
  PhasePlan* phase_plan_ = nullptr;
  std::vector<Instruction>* out_ = nullptr;
  std::int32_t repeated_begin_ = kNoOp;  // First op of the phase if it repeats.
  std::int64_t duration_ns_ = 0;
};

}  // namespace

std::optional<Schedule> BuildLookahead(const Profile& profile, const Program& program,
                                       std::int64_t budget_bytes, const EvictionRule& rule,
                                       std::int64_t duration_limit_ns, WorkMeter& work) {
  return Lookahead(profile, program, budget_bytes, rule, nullptr, duration_limit_ns, work).Build();
}

std::optional<Schedule> BuildLookahead(const Profile& profile, const Program& program,
                                       std::int64_t budget_bytes, EvictionScorer& scorer,
                                       std::int64_t duration_limit_ns, WorkMeter& work) {
  return Lookahead(profile, program, budget_bytes, {}, &scorer, duration_limit_ns, work).Build();
}

}  // namespace stint
