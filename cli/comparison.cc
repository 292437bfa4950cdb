#include "cli/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/units.h"

namespace stint {
namespace {

constexpr std::array<const char*, 4> kHeads = {"", "predicted", "measured", ""};

std::string Signed(std::int64_t bytes) {
  return fmt::format("{}{} B off", bytes > 0 ? "+" : "", bytes);
}

ComparisonRow BytesRow(const std::string& label, std::int64_t predicted, std::int64_t measured) {
  return {.label = label,
          .predicted = FormatBytes(predicted),
          .measured = FormatBytes(measured),
          .note = Signed(measured - predicted),
          .verdict = measured == predicted ? Verdict::kKept : Verdict::kBroken};
}

ComparisonRow TimeRow(const Report& predicted, const Report& measured) {
  ComparisonRow row = {.label = "time of an iteration",
                       .predicted = FormatDuration(predicted.duration_ns),
                       .measured = fmt::format("{} ± {}", FormatDuration(measured.duration_ns),
                                               FormatDuration(measured.spread_ns))};
  if (predicted.duration_ns > 0) {
    const double ratio =
        static_cast<double>(measured.duration_ns) / static_cast<double>(predicted.duration_ns);
    row.note = fmt::format("{:+.1f} %", 100 * (ratio - 1));
  }
  return row;
}

ComparisonRow ProcessRow(const Report& predicted, const Report& measured, const Plan* plan) {
  ComparisonRow row = {.label = "process memory",
                       .predicted = FormatBytes(predicted.process_bytes),
                       .measured = FormatBytes(measured.process_bytes)};
  if (plan != nullptr) {
    const std::int64_t left_bytes = plan->budget_bytes - measured.process_bytes;
    row.note =
        left_bytes >= 0 ? "within the budget" : FormatBytes(-left_bytes) + " over the budget";
    row.verdict = left_bytes >= 0 ? Verdict::kKept : Verdict::kBroken;
  }
  return row;
}

const StreamTime* FindStream(const Report& report, Stream stream) {
  const auto found = std::ranges::find(report.streams, stream, &StreamTime::stream);
  return found == report.streams.end() ? nullptr : &*found;
}

/// How long one stream was at work; how much it copied.
ComparisonRow StreamRow(const char* label, const Report& predicted, const Report& measured,
                        Stream stream) {
  const StreamTime* const expected = FindStream(predicted, stream);
  const StreamTime* const found = FindStream(measured, stream);
  ComparisonRow row = {.label = label};
  if (expected != nullptr) row.predicted = FormatDuration(expected->busy_ns);
  if (found != nullptr) row.measured = FormatDuration(found->busy_ns);
  const StreamTime* const copied = found != nullptr ? found : expected;
  if (copied != nullptr && copied->copied_bytes > 0) row.note = FormatBytes(copied->copied_bytes);
  return row;
}

/// All stalls of one iteration; the longest one's cause.
ComparisonRow StallRow(const Report& predicted, const Report& measured) {
  const auto sum = [](const Report& report) {
    std::int64_t stalled_ns = 0;
    for (const Stall& stall : report.stalls) {
      const bool is_repeated = stall.part == "body";
      const std::int64_t repeat_count = is_repeated && Index(stall.phase) < report.phases.size()
                                            ? report.phases[Index(stall.phase)].repeat_count
                                            : 1;
      stalled_ns += stall.duration_ns * repeat_count;
    }
    return stalled_ns;
  };
  ComparisonRow row = {.label = "compute stood still",
                       .predicted = FormatDuration(sum(predicted)),
                       .measured = FormatDuration(sum(measured))};
  const auto longest = std::ranges::max_element(measured.stalls, std::less{}, &Stall::duration_ns);
  if (longest != measured.stalls.end()) {
    row.note = fmt::format("{} at {} {} for {}", FormatDuration(longest->duration_ns),
                           longest->part, longest->instruction, longest->cause);
  }
  return row;
}

ComparisonRow ServedRow(const Served& served) {
  const bool is_kept = served.foreign.empty() && served.mismatch_count == 0;
  return {.label = "foreign requests",
          .measured = std::to_string(served.foreign.size()),
          .note = fmt::format("{} served as planned, {} of another size", served.request_count,
                              served.mismatch_count),
          .verdict = is_kept ? Verdict::kKept : Verdict::kBroken};
}

ComparisonRow ResultsRow(const std::optional<Verification>& verification) {
  ComparisonRow row = {.label = "results equal"};
  if (!verification) {
    row.note = "not compared (stint run --verify)";
    return row;
  }
  row.measured = verification->differing.empty() ? "yes" : "no";
  row.note = fmt::format("bitwise: outputs {}, gradients {}, weights and states {}",
                         verification->output_count, verification->gradient_count,
                         verification->weight_count);
  if (!verification->differing.empty()) {
    row.note = fmt::format("{} differ, first {}; {}", verification->differing.size(),
                           verification->differing.front(), row.note);
  }
  row.verdict = verification->differing.empty() ? Verdict::kKept : Verdict::kBroken;
  return row;
}

std::string MemoryDifference(const Report& predicted, const Report& measured) {
  std::string difference = FirstMemoryDifference(predicted, measured);
  if (difference.empty() && measured.served.mismatch_count > 0) {
    difference =
        fmt::format("{} requests of another size than planned", measured.served.mismatch_count);
  }
  return difference;
}

/// Columns that a terminal shows: code points, since every character here is one wide.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string PadLeft(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, Width(text)), ' ') + text;
}

std::string PadRight(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, Width(text)), ' ');
}

std::string Paint(const ComparisonRow& row, bool has_colour) {
  if (!has_colour || row.verdict == Verdict::kNone) return row.note;
  return fmt::format("\033[{}m{}\033[0m", row.verdict == Verdict::kKept ? 32 : 31, row.note);
}

}  // namespace

Comparison Compare(const Report& predicted, const Report& measured, const Plan* plan) {
  Comparison result = {.memory_difference = MemoryDifference(predicted, measured)};
  if (measured.verification && !measured.verification->differing.empty()) {
    result.results_difference =
        fmt::format("{} differs from the unplanned run", measured.verification->differing.front());
  }
  std::vector<ComparisonRow>& rows = result.rows;
  if (plan != nullptr) {
    rows.push_back({.label = "keep-all peak", .predicted = FormatBytes(plan->keep_all_peak_bytes)});
    rows.push_back(
        {.label = "budget",
         .predicted = FormatBytes(plan->budget_bytes),
         .note = fmt::format("of which {} outside the arena", FormatBytes(plan->overhead_bytes))});
  }
  rows.push_back(BytesRow("peak", predicted.peak_bytes, measured.peak_bytes));
  rows.push_back(BytesRow("arena", predicted.arena_bytes, measured.arena_bytes));
  if (predicted.process_bytes > 0 || measured.process_bytes > 0) {
    rows.push_back(ProcessRow(predicted, measured, plan));
  }
  if (predicted.host_bytes > 0 && measured.host_bytes > 0) {
    rows.push_back(BytesRow("host pool", predicted.host_bytes, measured.host_bytes));
  }
  if (predicted.snapshot_bytes > 0) {
    rows.push_back({.label = "snapshot of a save",
                    .predicted = FormatBytes(predicted.snapshot_bytes),
                    .note = "in host memory"});
  }
  rows.push_back(TimeRow(predicted, measured));
  if (!predicted.streams.empty() || !measured.streams.empty()) {
    rows.push_back(StreamRow("compute", predicted, measured, Stream::kCompute));
    rows.push_back(StreamRow("copies to the host", predicted, measured, Stream::kToHost));
    rows.push_back(StreamRow("copies to the device", predicted, measured, Stream::kToDevice));
    rows.push_back(StallRow(predicted, measured));
  }
  rows.push_back({.label = "ops recomputed",
                  .predicted = std::to_string(predicted.recomputed_op_count),
                  .measured = std::to_string(measured.recomputed_op_count)});
  rows.push_back(ServedRow(measured.served));
  rows.push_back(ResultsRow(measured.verification));
  return result;
}

std::string FormatTable(const Comparison& comparison, bool has_colour) {
  std::array<std::size_t, 3> widths{};
  for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = Width(kHeads[i]);
  for (const ComparisonRow& row : comparison.rows) {
    widths[0] = std::max(widths[0], Width(row.label));
    widths[1] = std::max(widths[1], Width(row.predicted));
    widths[2] = std::max(widths[2], Width(row.measured));
  }
  std::string table = fmt::format("{}  {}  {}\n", std::string(widths[0], ' '),
                                  PadLeft(kHeads[1], widths[1]), PadLeft(kHeads[2], widths[2]));
  for (const ComparisonRow& row : comparison.rows) {
    std::string line =
        fmt::format("{}  {}  {}", PadRight(row.label, widths[0]), PadLeft(row.predicted, widths[1]),
                    PadLeft(row.measured, widths[2]));
    if (!row.note.empty()) line += "  " + Paint(row, has_colour);
    table += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return table;
}

}  // namespace stint
