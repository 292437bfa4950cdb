// The form of "stint.plan/1"; docs/formats.md explains it to people.
#include <optional>
#include <string>

#include "ir/file.h"
#include "ir/json_fields.h"
#include "ir/plan.h"

namespace stint {
namespace {

/// An instruction as it is written: what its kind does not use is not there.
struct InstructionForm {
  InstructionKind kind{};
  std::optional<OpId> op{};
  std::optional<BufferId> buffer{};
  std::optional<ShardId> shard{};
  std::optional<std::int64_t> offset_bytes{};
  std::optional<std::vector<std::int64_t>> request_offsets{};
  std::vector<BufferId> discards{};
};

template <typename Io>
void Describe(Io& io, typename Io::template Noun<InstructionForm>& form) {
  io.Field("kind", form.kind);
  io.Optional("op", form.op);
  io.Optional("buffer", form.buffer);
  io.Optional("shard", form.shard);
  io.Optional("offset_bytes", form.offset_bytes);
  io.Optional("request_offsets", form.request_offsets);
  io.Optional("discards", form.discards);
}

}  // namespace

void WriteJson(JsonWriter& json, const Instruction& instruction) {
  InstructionForm form = {.kind = instruction.kind,
                          .buffer = instruction.buffer,
                          .shard = instruction.shard,
                          .discards = instruction.discards};
  if (instruction.kind == InstructionKind::kCompute) {
    form.op = instruction.op;
    form.request_offsets = instruction.request_offsets;
  }
  if (instruction.kind == InstructionKind::kFetch) form.offset_bytes = instruction.offset_bytes;
  WriteValue(json, form);
}

void ReadJson(JsonReader& json, Instruction& instruction) {
  InstructionForm form;
  ReadValue(json, form);
  const bool is_compute = form.kind == InstructionKind::kCompute;
  const bool is_fetch = form.kind == InstructionKind::kFetch;
  const auto expect = [&](bool is_there, bool is_wanted, const char* key) {
    if (is_there == is_wanted) return;
    json.Fail(fmt::format("is a {}, which {} \"{}\"", ToString(form.kind),
                          is_wanted ? "lacks" : "has no", key));
  };
  expect(form.op.has_value(), is_compute, "op");
  expect(form.request_offsets.has_value(), is_compute, "request_offsets");
  expect(form.offset_bytes.has_value(), is_fetch, "offset_bytes");
  instruction = {
      .kind = form.kind,
      .op = form.op.value_or(OpId{}),
      .request_offsets = std::move(form.request_offsets).value_or(std::vector<std::int64_t>{}),
      .discards = std::move(form.discards),
      .buffer = form.buffer,
      .shard = form.shard,
      .offset_bytes = form.offset_bytes.value_or(0)};
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Placement>& placement) {
  io.Field("buffer", placement.buffer);
  io.Field("offset_bytes", placement.offset_bytes);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Shard>& shard) {
  io.Field("name", shard.name);
  io.Field("size_bytes", shard.size_bytes);
  io.Field("host_offset_bytes", shard.host_offset_bytes);
  io.Field("members", shard.members);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<BoundRows>& rows) {
  io.Field("row", rows.row);
  io.Field("cut", rows.cut);
  io.Optional("ops", rows.ops);
  io.Optional("buffers", rows.buffers);
  io.Field("multipliers", rows.multipliers);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Certificate>& certificate) {
  io.Field("plan_class", certificate.plan_class);
  io.Field("method", certificate.method);
  io.Optional("limit_bytes", certificate.limit_bytes);
  io.Optional("host_limit_bytes", certificate.host_limit_bytes);
  io.Optional("largest_copy_bytes", certificate.largest_copy_bytes);
  io.Optional("other_way_permille", certificate.other_way_permille);
  io.Optional("cuts", certificate.cuts);
  io.Optional("scale", certificate.scale, 1);
  io.Optional("rows", certificate.rows);
  io.Optional("claimed_ns", certificate.claimed_ns);
  io.Optional("claimed_cuts", certificate.claimed_cuts);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<PhasePlan>& phase) {
  io.Lines("prologue", phase.prologue);
  io.Lines("body", phase.body);
  io.Lines("epilogue", phase.epilogue);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Plan>& plan) {
  io.Schema("stint.plan/1");
  io.Object("made_from", [&](auto& made_from) {
    made_from.Field("profile_sha256", plan.profile_sha256);
    made_from.Field("budget_bytes", plan.budget_bytes);
    made_from.Optional("host_budget_bytes", plan.host_budget_bytes);
    made_from.Field("solver", plan.solver);
    made_from.Field("seed", plan.seed);
    made_from.Optional("solver_parts", plan.solver_parts);
  });
  io.Field("status", plan.status);
  io.Field("overhead_bytes", plan.overhead_bytes);
  io.Field("arena_bytes", plan.arena_bytes);
  io.Field("peak_bytes", plan.peak_bytes);
  io.Field("host_bytes", plan.host_bytes);
  io.Optional("snapshot_bytes", plan.snapshot_bytes);
  io.Field("duration_ns", plan.duration_ns);
  io.Field("keep_all_duration_ns", plan.keep_all_duration_ns);
  io.Field("keep_all_peak_bytes", plan.keep_all_peak_bytes);
  io.Field("lower_bound_ns", plan.lower_bound_ns);
  io.Field("certificate", plan.certificate);
  io.Lines("initial", plan.initial);
  io.Lines("host", plan.host);
  io.Lines("shards", plan.shards);
  io.Optional("snapshot", plan.snapshot);
  io.Blocks("phases", plan.phases);
  io.Context(plan.context);
}

std::string ToJson(const Plan& plan) { return WriteArtifact(plan, ContextUse::kWrite); }

Plan PlanFromJson(const std::string& text, const std::string& where) {
  auto plan = ReadArtifact<Plan>(text, where);
  Validate(plan, where);
  return plan;
}

std::string PlanSha256(const Plan& plan) { return Sha256(WriteArtifact(plan, ContextUse::kOmit)); }

}  // namespace stint
