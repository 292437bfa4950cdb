#include "planner/residency.h"

#include <algorithm>

#include "ir/errors.h"

namespace stint {
namespace {

// Searches end here: whatever is farther away is too dear to remake anyway.
constexpr std::int64_t kSearchedOpLimit = 400;

}  // namespace

Residency::Residency(const Program& program)
    : program_(program),
      states_(program.buffers.size()),
      visits_(program.ops.size(), 0),
      resident_bytes_(program.persistent_bytes) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    states_[i].need = program.buffers[i].uses.empty() ? kNever : program.buffers[i].uses.front();
  }
}

void Residency::BeginResidence(BufferId buffer) {
  State& state = states_[Index(buffer)];
  Check(!state.is_resident, "a residence begins where there is none");
  state.is_resident = true;
  state.is_stale = true;
  resident_bytes_ += program_.buffers[Index(buffer)].residence_bytes;
  if (CreatorOf(buffer).is_recomputable && !state.is_written &&
      program_.buffers[Index(buffer)].residence_bytes > 0) {
    AddCandidate(buffer);
  }
  MarkStaleBelow(buffer);
  QueueNeedOfSources(buffer);
  SettleNeeds();
}

void Residency::EndResidence(BufferId buffer) {
  State& state = states_[Index(buffer)];
  Check(state.is_resident && state.pin_count == 0, "a residence ends that is not in use");
  state.is_resident = false;
  resident_bytes_ -= program_.buffers[Index(buffer)].residence_bytes;
  RemoveCandidate(buffer);
  MarkStaleBelow(buffer);
  QueueNeedOfSources(buffer);
  SettleNeeds();
}

void Residency::Advance() {
  const ProgramOp& op = program_.ops[static_cast<std::size_t>(step_)];
  ++step_;
  for (const BufferId buffer : op.writes) {
    states_[Index(buffer)].is_written = true;
    RemoveCandidate(buffer);
  }
  for (const BufferId buffer : op.reads) {
    ++states_[Index(buffer)].next_use;
    QueueNeed(buffer);
  }
  SettleNeeds();
}

Remake Residency::RemakeOf(BufferId buffer) {
  Remake remake{.possible_until = kNever};
  ++visit_;
  stack_.assign(1, program_.buffers[Index(buffer)].creator);
  Visit(stack_.back());
  while (!stack_.empty()) {
    const ProgramOp& op = program_.ops[static_cast<std::size_t>(stack_.back())];
    stack_.pop_back();
    ++remake.op_count;
    if (!op.is_recomputable || remake.op_count > kSearchedOpLimit) {
      remake.possible_until = kNoOp;
      return remake;
    }
    remake.cost_ns += op.duration_ns;
    remake.possible_until = std::min(remake.possible_until, op.readable_until);
    for (const BufferId read : op.reads) {
      const State& state = states_[Index(read)];
      if (state.is_resident) {
        continue;
      }
      if (state.is_written) {
        remake.possible_until = kNoOp;
        return remake;
      }
      const std::int32_t creator = program_.buffers[Index(read)].creator;
      if (Visit(creator)) {
        stack_.push_back(creator);
      }
    }
  }
  return remake;
}

const ProgramOp& Residency::CreatorOf(BufferId buffer) const {
  return program_.ops[static_cast<std::size_t>(program_.buffers[Index(buffer)].creator)];
}

void Residency::AddCandidate(BufferId buffer) {
  states_[Index(buffer)].candidate = static_cast<std::int32_t>(candidates_.size());
  candidates_.push_back(buffer);
}

void Residency::RemoveCandidate(BufferId buffer) {
  State& state = states_[Index(buffer)];
  if (state.candidate == kNoOp) {
    return;
  }
  const BufferId last = candidates_.back();
  candidates_[static_cast<std::size_t>(state.candidate)] = last;
  states_[Index(last)].candidate = state.candidate;
  candidates_.pop_back();
  state.candidate = kNoOp;
}

std::int32_t Residency::NeedNow(BufferId buffer) const {
  const std::vector<std::int32_t>& uses = program_.buffers[Index(buffer)].uses;
  const auto next_use = static_cast<std::size_t>(states_[Index(buffer)].next_use);
  std::int32_t need = next_use < uses.size() ? uses[next_use] : kNever;
  for (std::size_t i = 0; i < next_use; ++i) {
    const ProgramOp& op = program_.ops[static_cast<std::size_t>(uses[i])];
    if (!op.is_recomputable) {
      continue;
    }
    for (const BufferId made : op.creates) {
      const State& state = states_[Index(made)];
      // An op of this very step has yet to run: its outputs are nobody's loss.
      if (!state.is_resident && uses[i] < step_) {
        need = std::min(need, state.need);
      }
    }
  }
  return need;
}

void Residency::QueueNeed(BufferId buffer) {
  State& state = states_[Index(buffer)];
  if (!state.is_queued) {
    state.is_queued = true;
    need_queue_.emplace(program_.buffers[Index(buffer)].creator,
                        static_cast<std::int32_t>(Index(buffer)));
  }
}

void Residency::QueueNeedOfSources(BufferId buffer) {
  const ProgramOp& creator = CreatorOf(buffer);
  if (creator.is_recomputable) {
    for (const BufferId source : creator.reads) {
      QueueNeed(source);
    }
  }
}

void Residency::SettleNeeds() {
  while (!need_queue_.empty()) {
    const BufferId buffer{need_queue_.top().second};
    need_queue_.pop();
    State& state = states_[Index(buffer)];
    state.is_queued = false;
    const std::int32_t need = NeedNow(buffer);
    if (need != state.need) {
      state.need = need;
      if (!state.is_resident) {
        QueueNeedOfSources(buffer);
      }
    }
  }
}

void Residency::MarkStaleBelow(BufferId buffer) {
  ++visit_;
  stack_.clear();
  std::int64_t searched_count = 0;
  const auto push_users = [&](BufferId of) {
    for (const std::int32_t use : program_.buffers[Index(of)].uses) {
      if (use >= step_) {
        return;
      }
      if (program_.ops[static_cast<std::size_t>(use)].is_recomputable && Visit(use)) {
        stack_.push_back(use);
      }
    }
  };
  push_users(buffer);
  while (!stack_.empty() && ++searched_count <= kSearchedOpLimit) {
    const ProgramOp& op = program_.ops[static_cast<std::size_t>(stack_.back())];
    stack_.pop_back();
    for (const BufferId made : op.creates) {
      State& state = states_[Index(made)];
      state.is_stale = true;
      if (!state.is_resident) {
        push_users(made);
      }
    }
  }
}

bool Residency::Visit(std::int32_t op) {
  std::int64_t& visit = visits_[static_cast<std::size_t>(op)];
  const bool is_new = visit != visit_;
  visit = visit_;
  return is_new;
}

}  // namespace stint
