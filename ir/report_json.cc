// The form of "stint.report/1"; docs/formats.md explains it to people.
#include <string>

#include "ir/errors.h"
#include "ir/json_fields.h"
#include "ir/report.h"

namespace stint {

template <typename Io>
void Describe(Io& io, typename Io::template Noun<RolePeaks>& peaks) {
  io.Field("role", peaks.role);
  io.Field("size_bytes", peaks.size_bytes);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Timeline>& timeline) {
  io.Field("live_after_bytes", timeline.live_after_bytes);
  io.Field("peak_bytes", timeline.peak_bytes);
  io.Optional("peak_by_role", timeline.peak_by_role);
  io.Field("request_live_bytes", timeline.request_live_bytes);
  io.Field("start_ns", timeline.start_ns);
  io.Field("duration_ns", timeline.duration_ns);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<PhaseReport>& phase) {
  io.Field("name", phase.name);
  io.Field("repeat_count", phase.repeat_count);
  io.Block("prologue", phase.prologue);
  io.Block("body", phase.body);
  io.Block("epilogue", phase.epilogue);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<RoleBytes>& bytes) {
  io.Field("role", bytes.role);
  io.Field("size_bytes", bytes.size_bytes);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<ForeignRequest>& request) {
  io.Field("where", request.where);
  io.Field("size_bytes", request.size_bytes);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Served>& served) {
  io.Field("request_count", served.request_count);
  io.Field("mismatch_count", served.mismatch_count);
  io.Field("foreign", served.foreign);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<StreamTime>& time) {
  io.Field("stream", time.stream);
  io.Field("busy_ns", time.busy_ns);
  io.Optional("copied_bytes", time.copied_bytes);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Stall>& stall) {
  io.Field("phase", stall.phase);
  io.Field("part", stall.part);
  io.Field("instruction", stall.instruction);
  io.Field("copy", stall.copy);
  io.Field("cause", stall.cause);
  io.Field("duration_ns", stall.duration_ns);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Verification>& verification) {
  io.Field("output_count", verification.output_count);
  io.Field("gradient_count", verification.gradient_count);
  io.Field("weight_count", verification.weight_count);
  io.Field("differing", verification.differing);
}

template <typename Io>
void Describe(Io& io, typename Io::template Noun<Report>& report) {
  io.Schema("stint.report/1");
  io.Object("made_from", [&](auto& made_from) {
    made_from.Field("profile_sha256", report.profile_sha256);
    made_from.Field("plan_sha256", report.plan_sha256);
  });
  io.Field("source", report.source);
  io.Field("mode", report.mode);
  io.Field("peak_bytes", report.peak_bytes);
  io.Field("arena_bytes", report.arena_bytes);
  io.Field("duration_ns", report.duration_ns);
  io.Field("spread_ns", report.spread_ns);
  io.Field("iteration_count", report.iteration_count);
  io.Field("process_bytes", report.process_bytes);
  io.Optional("host_bytes", report.host_bytes);
  io.Optional("snapshot_bytes", report.snapshot_bytes);
  io.Field("recomputed_op_count", report.recomputed_op_count);
  io.Field("peak_by_role", report.peak_by_role);
  io.Field("served", report.served);
  io.Optional("streams", report.streams);
  io.Optional("stalls", report.stalls);
  io.Optional("verification", report.verification);
  io.Blocks("phases", report.phases);
  io.Context(report.context);
}

namespace {

void ValidateTimeline(const Timeline& timeline, const std::string& where) {
  const std::size_t instruction_count = timeline.live_after_bytes.size();
  for (const std::size_t count : {timeline.peak_bytes.size(), timeline.request_live_bytes.size(),
                                  timeline.start_ns.size(), timeline.duration_ns.size()}) {
    if (count != instruction_count) throw InputError(where, "has lists of different lengths");
  }
  for (const RolePeaks& peaks : timeline.peak_by_role) {
    if (peaks.size_bytes.size() != instruction_count) {
      throw InputError(where + "/peak_by_role", "has lists of another length than the others");
    }
  }
}

}  // namespace

std::string ToJson(const Report& report) { return WriteArtifact(report, ContextUse::kWrite); }

Report ReportFromJson(const std::string& text, const std::string& where) {
  auto report = ReadArtifact<Report>(text, where);
  for (std::size_t i = 0; i < report.phases.size(); ++i) {
    const std::string pointer = fmt::format("{}:/phases/{}", where, i);
    ValidateTimeline(report.phases[i].prologue, pointer + "/prologue");
    ValidateTimeline(report.phases[i].body, pointer + "/body");
    ValidateTimeline(report.phases[i].epilogue, pointer + "/epilogue");
  }
  return report;
}

}  // namespace stint
