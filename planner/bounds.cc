#include "planner/bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ir/units.h"
#include "planner/peak_cut.h"

namespace stint {
namespace {

// Cuts that are tried: enough to meet the peak and its neighbours, and nearly every op of a small
// program. Each costs a few dozen maximum flows.
constexpr int kLeastCutCount = 12;
constexpr int kMostCutCount = 100;
constexpr int kOpsPerCutBudget = 20000;

/// Steps [first, last] at which a buffer holds a value that cannot be made again and is still
/// needed; first > last if there are none.
struct Span {
  std::int32_t first = 0;
  std::int32_t last = kNoOp;
};

Span UnavoidableSpan(const Profile& profile, const Program& program, std::size_t index) {
  const MovableBuffer& buffer = program.buffers[index];
  if (buffer.creator == kNoOp || buffer.uses.empty()) {
    return {};
  }
  const ProgramOp& creator = program.ops[static_cast<std::size_t>(buffer.creator)];
  if (creator.is_recomputable && buffer.writes.empty()) {
    return {};
  }
  Span span{.first = (creator.is_recomputable ? buffer.writes.front() : buffer.creator) + 1,
            .last = std::min(buffer.uses.back(), program.op_count - 1)};
  if (DiesInEpilogue(profile, program, BufferId{static_cast<std::int32_t>(index)})) {
    const std::int32_t phase = program.ops[static_cast<std::size_t>(buffer.uses.back())].phase;
    span.last =
        static_cast<std::int32_t>(Index(profile.phases[static_cast<std::size_t>(phase)].end)) - 1;
  }
  return span;
}

std::string Describe(const Profile& profile, const Program& program, const ProgramOp& facts,
                     std::int64_t unavoidable_bytes) {
  const Op& op = profile.ops[Index(facts.id)];
  std::string words =
      fmt::format("op {} ({}{}{}) needs {} of persistent buffers, {} of requests", Index(facts.id),
                  op.name, op.module.empty() ? "" : " in ", op.module,
                  FormatBytes(program.persistent_bytes), FormatBytes(facts.script_peak_bytes));
  if (unavoidable_bytes > 0) {
    words +=
        fmt::format(", {} of values that cannot be made again", FormatBytes(unavoidable_bytes));
  }
  std::vector<BufferId> buffers = facts.reads;
  buffers.insert(buffers.end(), facts.creates.begin(), facts.creates.end());
  std::stable_sort(buffers.begin(), buffers.end(), [&](BufferId a, BufferId b) {
    return profile.buffers[Index(a)].size_bytes > profile.buffers[Index(b)].size_bytes;
  });
  constexpr std::size_t kNamedCount = 3;
  for (std::size_t i = 0; i < std::min(kNamedCount, buffers.size()); ++i) {
    const Buffer& buffer = profile.buffers[Index(buffers[i])];
    words += fmt::format("{} {} {}{}{}{}", i == 0 ? "; its largest buffers:" : ",",
                         ToString(buffer.role), Index(buffers[i]), buffer.name.empty() ? "" : " ",
                         buffer.name, " of " + FormatBytes(buffer.size_bytes));
  }
  return words;
}

/// By step: whether an op comes that was recorded after one that is still to come.
std::vector<bool> ComesEarly(const Program& program) {
  std::vector<bool> is_early(program.ops.size());
  OpId first_to_come{program.op_count};
  for (std::size_t i = program.ops.size(); i-- > 0;) {
    is_early[i] = program.ops[i].id > first_to_come;
    first_to_come = std::min(first_to_come, program.ops[i].id);
  }
  return is_early;
}

}  // namespace

Bounds ProveBounds(const Profile& profile, const Program& program) {
  Bounds bounds{.budget_bytes = program.persistent_bytes,
                .certificate = {.plan_class = "recorded-order", .method = "sum-of-durations"}};
  const std::vector<bool> comes_early = ComesEarly(program);
  if (std::find(comes_early.begin(), comes_early.end(), true) != comes_early.end()) {
    bounds.certificate.plan_class = "updates-movable";
  }
  // change[i]: bytes that begin to be unavoidable at op i, less those that cease to be.
  std::vector<std::int64_t> change(program.ops.size() + 1, 0);
  std::vector<Span> spans(program.buffers.size());
  for (std::size_t i = 0; i < program.buffers.size(); ++i) {
    spans[i] = UnavoidableSpan(profile, program, i);
    if (spans[i].first <= spans[i].last) {
      change[static_cast<std::size_t>(spans[i].first)] += program.buffers[i].residence_bytes;
      change[static_cast<std::size_t>(spans[i].last) + 1] -= program.buffers[i].residence_bytes;
    }
  }
  std::int64_t unavoidable_bytes = 0;
  std::int64_t binding_unavoidable_bytes = 0;
  for (std::int32_t i = 0; i < program.op_count; ++i) {
    const ProgramOp& op = program.ops[static_cast<std::size_t>(i)];
    bounds.duration_ns +=
        op.duration_ns * profile.phases[static_cast<std::size_t>(op.phase)].repeat_count;
    unavoidable_bytes += change[static_cast<std::size_t>(i)];
    const bool is_early = comes_early[static_cast<std::size_t>(i)];
    const std::int64_t others_bytes = is_early ? 0 : unavoidable_bytes;
    std::int64_t live_bytes = program.persistent_bytes + others_bytes + op.script_peak_bytes;
    for (const BufferId buffer : op.reads) {
      const Span& span = spans[Index(buffer)];
      const bool is_counted = !is_early && span.first <= i && i <= span.last;
      live_bytes += is_counted ? 0 : program.buffers[Index(buffer)].residence_bytes;
    }
    if (live_bytes > bounds.budget_bytes || bounds.binding_op == kNoOp) {
      bounds.budget_bytes = live_bytes;
      bounds.binding_op = i;
      binding_unavoidable_bytes = others_bytes;
    }
  }
  if (bounds.binding_op != kNoOp) {
    const ProgramOp& op = program.ops[static_cast<std::size_t>(bounds.binding_op)];
    bounds.binding_op = static_cast<std::int32_t>(Index(op.id));
    bounds.binding = Describe(profile, program, op, binding_unavoidable_bytes);
  }
  return bounds;
}

Bounds ProveBoundsWithin(const Profile& profile, const Program& recorded, const Program& order,
                         std::int64_t budget_bytes) {
  Bounds bounds = ProveBounds(profile, order);
  if (bounds.budget_bytes > budget_bytes) return bounds;
  const int cut_count =
      std::clamp(kOpsPerCutBudget / std::max(recorded.op_count, 1), kLeastCutCount, kMostCutCount);
  PeakCut cut = BestCut(recorded, order, budget_bytes, cut_count);
  if (!cut.is_feasible) {
    const Op& op = profile.ops[Index(cut.op)];
    bounds.budget_bytes = cut.least_bytes;
    bounds.binding_op = static_cast<std::int32_t>(Index(cut.op));
    bounds.binding = fmt::format(
        "while op {} ({}{}{}) first runs, {} are in use however much is made again later",
        bounds.binding_op, op.name, op.module.empty() ? "" : " in ", op.module,
        FormatBytes(cut.least_bytes));
    return bounds;
  }
  bounds.duration_ns += cut.recompute_ns;
  cut.certificate.plan_class = std::move(bounds.certificate.plan_class);
  bounds.certificate = std::move(cut.certificate);
  return bounds;
}

}  // namespace stint
