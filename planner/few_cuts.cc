#include "planner/few_cuts.h"

#include <algorithm>
#include <cmath>

#include "ir/units.h"
#include "planner/peak_cut.h"

namespace stint {
namespace {

constexpr std::int32_t kNoColumn = -1;
// Costs are shares of the program's time in this unit, so that tolerances mean the same everywhere.
constexpr double kUnitsPerTotal = 1000;
// What a floating-point solver's tolerances may add to its bound, in parts of it.
constexpr double kDoubt = 1e-9;
// Whole columns come out this near to 0 or 1.
constexpr double kHalf = 0.5;

class FewCuts {
 public:
  FewCuts(const Program& program, const std::vector<OpId>& cuts, std::int64_t budget_bytes,
          bool is_whole)
      : program_(program), cuts_(cuts), is_whole_(is_whole) {
    for (const ProgramOp& op : program.ops) total_ns_ += op.duration_ns;
    unit_ns_ = std::max(1.0, static_cast<double>(total_ns_)) / kUnitsPerTotal;
    segments_.resize(cuts.size());
    for (std::size_t cut = 0; cut < cuts.size(); ++cut) AddColumns(cut);
    for (std::size_t cut = 0; cut < cuts.size(); ++cut) AddRows(cut, budget_bytes);
    if (!is_whole) AddSuffixSums();
  }

  const LinearProgram& lp() const { return lp_; }
  double unit_ns() const { return unit_ns_; }

  std::vector<CutChoice> ChoicesOf(const std::vector<double>& values) const {
    std::vector<CutChoice> choices(cuts_.size());
    for (std::size_t cut = 0; cut < cuts_.size(); ++cut) {
      const Segment& segment = segments_[cut];
      const auto is_chosen = [&](std::int32_t column) {
        return column != kNoColumn && values[static_cast<std::size_t>(column)] > kHalf;
      };
      choices[cut].cut = cuts_[cut];
      for (const BufferId buffer : segment.buffers) {
        if (is_chosen(segment.kept[Index(buffer)])) choices[cut].kept.push_back(buffer);
      }
      for (std::size_t op = 0; op < segment.runs.size(); ++op) {
        if (is_chosen(segment.runs[op])) choices[cut].runs.push_back(program_.ops[op].id);
      }
    }
    return choices;
  }

  /// By column, what `choices` choose; empty where those are. Only where is_whole.
  std::vector<double> ValuesOf(const std::vector<CutChoice>& choices) const {
    if (choices.empty()) return {};
    std::vector<double> values(static_cast<std::size_t>(lp_.column_count()), 0);
    const auto choose = [&](std::int32_t column) {
      if (column != kNoColumn) values[static_cast<std::size_t>(column)] = 1;
    };
    for (std::size_t cut = 0; cut < cuts_.size(); ++cut) {
      for (const BufferId buffer : choices[cut].kept) choose(segments_[cut].kept[Index(buffer)]);
      for (const OpId op : choices[cut].runs) choose(segments_[cut].runs[Index(op)]);
    }
    return values;
  }

  /// The rows with multipliers `duals`, rounded down.
  Certificate CertificateOf(const std::vector<double>& duals, std::int64_t budget_bytes) const {
    const std::int64_t scale = MultiplierScale(total_ns_);
    Certificate certificate{
        .method = "cuts", .limit_bytes = budget_bytes, .cuts = cuts_, .scale = scale};
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      const double dual = duals[i] * unit_ns_ * static_cast<double>(scale) * row.per_block;
      const auto multiplier = static_cast<std::int64_t>(std::clamp(dual, 0.0, 0x1p60));
      if (multiplier <= 0) continue;
      const bool is_new = certificate.rows.empty() || certificate.rows.back().row != row.kind ||
                          certificate.rows.back().cut != row.cut;
      if (is_new) certificate.rows.push_back({.row = row.kind, .cut = row.cut});
      BoundRows& rows = certificate.rows.back();
      if (row.op >= 0) rows.ops.push_back(OpId{row.op});
      if (row.buffer >= 0) rows.buffers.push_back(BufferId{row.buffer});
      rows.multipliers.push_back(multiplier);
    }
    return certificate;
  }

 private:
  /// What one cut has columns for.
  struct Segment {
    std::int32_t begin = 0;                // The step of the cut's op.
    std::int32_t end = 0;                  // The last step of the segment.
    std::vector<BufferId> buffers{};       // Ascending; made before the cut, needed after it.
    std::vector<std::int32_t> kept{};      // By buffer: column of S; kNoColumn: none.
    std::vector<bool> is_here{};           // By buffer: one of `buffers`.
    std::vector<bool> is_read{};           // By buffer: by the cut's op, so S is 1.
    std::vector<std::int32_t> runs{};      // By step: column of R.
    std::vector<std::int32_t> any_runs{};  // By step: column of Z.
  };
  /// What a row of the linear program is in the certificate.
  struct Row {
    BoundRow kind{};
    std::int32_t cut = 0;
    std::int32_t op = -1;
    std::int32_t buffer = -1;
    double per_block = 1;  // Multiplier of the certificate's row over that of this one.
  };

  const MovableBuffer& FactsOf(BufferId buffer) const { return program_.buffers[Index(buffer)]; }
  static bool IsWrittenBy(const MovableBuffer& facts, std::int32_t step) {
    return !facts.writes.empty() && facts.writes.front() <= step;
  }
  /// The first use after `step` by an op that cannot come before it in any plan; kNever if none.
  std::int32_t NextUse(const MovableBuffer& facts, std::int32_t step) const {
    auto use = std::upper_bound(facts.uses.begin(), facts.uses.end(), step);
    while (use != facts.uses.end() && *use < program_.op_count &&
           program_.ops[static_cast<std::size_t>(*use)].creates.empty()) {
      ++use;
    }
    return use == facts.uses.end() ? kNever : *use;
  }

  void AddColumns(std::size_t cut) {
    Segment& segment = segments_[cut];
    segment.begin = static_cast<std::int32_t>(Index(cuts_[cut]));
    segment.end = cut + 1 == cuts_.size() ? program_.op_count
                                          : static_cast<std::int32_t>(Index(cuts_[cut + 1]));
    segment.kept.assign(program_.buffers.size(), kNoColumn);
    segment.is_here.assign(program_.buffers.size(), false);
    segment.is_read.assign(program_.buffers.size(), false);
    segment.runs.assign(program_.ops.size(), kNoColumn);
    segment.any_runs.assign(program_.ops.size(), kNoColumn);
    for (const BufferId buffer : program_.ops[Index(cuts_[cut])].reads) {
      segment.is_read[Index(buffer)] = true;
    }
    std::vector<bool> may_run(program_.ops.size(), false);
    const auto need = [&](BufferId buffer) {
      segment.is_here[Index(buffer)] = true;
      const auto creator = static_cast<std::size_t>(FactsOf(buffer).creator);
      const ProgramOp& op = program_.ops[creator];
      may_run[creator] = op.is_recomputable && op.lost_at > segment.begin;
    };
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      const MovableBuffer& facts = program_.buffers[i];
      const bool is_before = facts.creator != kNoOp && facts.creator < segment.begin;
      if (is_before && NextUse(facts, segment.begin) != kNever) {
        need(BufferId{static_cast<std::int32_t>(i)});
      }
    }
    for (auto op = static_cast<std::size_t>(segment.begin); op-- > 0;) {
      if (!may_run[op]) continue;
      for (const BufferId buffer : program_.ops[op].reads) need(buffer);
    }
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      if (!segment.is_here[i]) continue;
      segment.buffers.push_back(BufferId{static_cast<std::int32_t>(i)});
      if (!segment.is_read[i]) segment.kept[i] = lp_.AddColumn(0, 0, 1, is_whole_);
    }
    for (std::size_t op = 0; op < may_run.size(); ++op) {
      if (!may_run[op]) continue;
      const double cost = static_cast<double>(program_.ops[op].duration_ns) / unit_ns_;
      segment.runs[op] = lp_.AddColumn(cost, 0, 1, is_whole_);
      if (!is_whole_) segment.any_runs[op] = lp_.AddColumn(0, 0, 1);
    }
  }

  /// Adds S(buffer) and, where its creator makes the value in question, the creator's run:
  /// `sources >= lower`, less `demand` where that is a column.
  void AddSourceRow(const Row& row, const Segment& segment, const std::vector<std::int32_t>& runs,
                    BufferId buffer, bool is_as_created, std::int32_t demand) {
    if (segment.is_read[Index(buffer)]) return;  // Always true.
    lp_.AddRow(demand == kNoColumn ? 1 : 0, kNoLimit);
    lp_.AddEntry(segment.kept[Index(buffer)], 1);
    const std::int32_t run = runs[static_cast<std::size_t>(FactsOf(buffer).creator)];
    if (is_as_created && run != kNoColumn) lp_.AddEntry(run, 1);
    if (demand != kNoColumn) lp_.AddEntry(demand, -1);
    rows_.push_back(row);
    rows_.back().buffer = static_cast<std::int32_t>(Index(buffer));
  }

  void AddRows(std::size_t cut, std::int64_t budget_bytes) {
    AddMemoryRow(cut, budget_bytes);
    AddNeeds(cut, BoundRow::kNeed);
    AddClosures(cut, BoundRow::kClosure);
    if (cut > 0) AddCarries(cut);
    if (is_whole_) return;  // In whole numbers the others say it all.
    AddNeeds(cut, BoundRow::kSuffixNeed);
    AddClosures(cut, BoundRow::kSuffixClosure);
  }

  void AddMemoryRow(std::size_t cut, std::int64_t budget_bytes) {
    const Segment& segment = segments_[cut];
    const ProgramOp& op = program_.ops[Index(cuts_[cut])];
    std::int64_t free_bytes = budget_bytes - program_.persistent_bytes - op.script_peak_bytes;
    for (const BufferId buffer : op.reads) free_bytes -= FactsOf(buffer).residence_bytes;
    const std::int64_t free_blocks = free_bytes / kAlignmentBytes;
    const double unit_blocks =
        static_cast<double>(std::max(budget_bytes / kAlignmentBytes, std::int64_t{1})) /
        kUnitsPerTotal;
    lp_.AddRow(-static_cast<double>(free_blocks) / unit_blocks, kNoLimit);
    for (const BufferId buffer : segment.buffers) {
      const std::int64_t blocks = FactsOf(buffer).residence_bytes / kAlignmentBytes;
      const std::int32_t kept = segment.kept[Index(buffer)];
      if (kept != kNoColumn && blocks > 0) {
        lp_.AddEntry(kept, -static_cast<double>(blocks) / unit_blocks);
      }
    }
    rows_.push_back({.kind = BoundRow::kMemory,
                     .cut = static_cast<std::int32_t>(cut),
                     .per_block = 1 / unit_blocks});
  }

  void AddNeeds(std::size_t cut, BoundRow kind) {
    const Segment& segment = segments_[cut];
    const bool is_suffix = kind == BoundRow::kSuffixNeed;
    for (const BufferId buffer : segment.buffers) {
      const MovableBuffer& facts = FactsOf(buffer);
      const std::int32_t use = NextUse(facts, segment.begin);
      if (use == kNever || (!is_suffix && use > segment.end)) continue;
      AddSourceRow({.kind = kind, .cut = static_cast<std::int32_t>(cut)}, segment,
                   is_suffix ? segment.any_runs : segment.runs, buffer,
                   !IsWrittenBy(facts, segment.begin), kNoColumn);
    }
  }

  void AddClosures(std::size_t cut, BoundRow kind) {
    const Segment& segment = segments_[cut];
    const std::vector<std::int32_t>& runs =
        kind == BoundRow::kSuffixClosure ? segment.any_runs : segment.runs;
    for (std::size_t op = 0; op < runs.size(); ++op) {
      if (runs[op] == kNoColumn) continue;
      for (const BufferId buffer : program_.ops[op].reads) {
        AddSourceRow({.kind = kind,
                      .cut = static_cast<std::int32_t>(cut),
                      .op = static_cast<std::int32_t>(op)},
                     segment, runs, buffer,
                     !IsWrittenBy(FactsOf(buffer), static_cast<std::int32_t>(op)), runs[op]);
      }
    }
  }

  void AddCarries(std::size_t cut) {
    const Segment& segment = segments_[cut];
    const Segment& before = segments_[cut - 1];
    for (const BufferId buffer : segment.buffers) {
      // Where the cut's op reads it, the need row of the segment before says the same.
      const std::int32_t kept = segment.kept[Index(buffer)];
      const bool was_there = FactsOf(buffer).creator < before.begin;
      if (kept == kNoColumn || !was_there || !before.is_here[Index(buffer)]) continue;
      AddSourceRow({.kind = BoundRow::kCarry, .cut = static_cast<std::int32_t>(cut)}, before,
                   before.runs, buffer, true, kept);
    }
  }

  /// Last, because they join columns of all segments.
  void AddSuffixSums() {
    for (std::size_t cut = 0; cut < segments_.size(); ++cut) {
      for (std::size_t op = 0; op < program_.ops.size(); ++op) {
        const std::int32_t any = segments_[cut].any_runs[op];
        if (any == kNoColumn) continue;
        lp_.AddRow(0, kNoLimit);
        lp_.AddEntry(any, -1);
        for (std::size_t later = cut; later < segments_.size(); ++later) {
          const std::int32_t run = segments_[later].runs[op];
          if (run != kNoColumn) lp_.AddEntry(run, 1);
        }
        rows_.push_back({.kind = BoundRow::kSuffixSum,
                         .cut = static_cast<std::int32_t>(cut),
                         .op = static_cast<std::int32_t>(op)});
      }
    }
  }

  const Program& program_;
  const std::vector<OpId>& cuts_;
  bool is_whole_;
  std::int64_t total_ns_ = 0;
  double unit_ns_ = 1;
  std::vector<Segment> segments_{};
  std::vector<Row> rows_{};  // By row of lp_.
  LinearProgram lp_{};
};

}  // namespace

FewCutBound BoundByCuts(const Program& program, const std::vector<OpId>& cuts,
                        std::int64_t budget_bytes, const FewCutOptions& options) {
  const FewCuts few(program, cuts, budget_bytes, options.is_whole);
  if (few.lp().column_count() == 0) {
    // Nothing is needed after any cut: HiGHS calls that no program.
    return {.status = LpStatus::kOptimal,
            .certificate = {.method = "cuts", .limit_bytes = budget_bytes, .cuts = cuts}};
  }
  LpResult solved = SolveLinearProgram(
      few.lp(), {.time_limit_s = options.time_limit_s,
                 .relative_gap = options.relative_gap,
                 .node_limit = options.node_limit,
                 .seed = options.seed,
                 .method = options.method,
                 .start = options.is_whole ? few.ValuesOf(options.start) : std::vector<double>{},
                 .stop = options.stop});
  FewCutBound bound{.status = solved.status, .failure = std::move(solved.failure)};
  if (solved.bound > 0 && std::isfinite(solved.bound)) {
    bound.recompute_ns = std::llround(solved.bound * (1 - kDoubt) * few.unit_ns());
  }
  if (options.is_whole) {
    if (!solved.values.empty()) bound.choices = few.ChoicesOf(solved.values);
  } else if (!solved.row_duals.empty()) {
    bound.certificate = few.CertificateOf(solved.row_duals, budget_bytes);
  }
  return bound;
}

std::int64_t ColumnCount(const Program& program, const std::vector<OpId>& cuts) {
  return FewCuts(program, cuts, 0, true).lp().column_count();
}

std::vector<OpId> SpreadCuts(const Program& program, std::int64_t budget_bytes, int count) {
  const std::vector<std::int64_t> live_bytes = LiveBytes(program);
  std::vector<std::int32_t> places{};  // Steps over the budget that may be cuts.
  std::int32_t highest = kNoOp;
  for (std::int32_t step = 0; step < program.op_count; ++step) {
    const auto i = static_cast<std::size_t>(step);
    if (program.ops[i].creates.empty() || live_bytes[i] <= budget_bytes) continue;
    places.push_back(step);
    if (highest == kNoOp || live_bytes[i] > live_bytes[static_cast<std::size_t>(highest)]) {
      highest = step;
    }
  }
  if (places.empty()) return {};
  // What runs again for the end of that part is a burden a little beyond it, too.
  for (std::int32_t step = places.back() + 1; step < program.op_count; ++step) {
    if (program.ops[static_cast<std::size_t>(step)].creates.empty()) continue;
    places.push_back(step);
    break;
  }
  std::vector<OpId> cuts{program.ops[static_cast<std::size_t>(highest)].id};
  for (int i = 0; i + 1 < count; ++i) {
    const std::size_t place = (places.size() - 1) * static_cast<std::size_t>(i) /
                              static_cast<std::size_t>(std::max(count - 2, 1));
    cuts.push_back(program.ops[static_cast<std::size_t>(places[place])].id);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

}  // namespace stint
