#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/comparison.h"
#include "cli/memory_chart.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr char kStyle[] = R"(
:root { --ink: #1d2329; --muted: #68727d; --line: #dfe3e8; --paper: #ffffff; --area: #cfdff0;
  --area-edge: #7fa6cf; --measured: #b4501e; --kept: #2c7a4b; --broken: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --muted: #98a2ad; --line: #343b43;
  --paper: #16191d; --area: #27405c; --area-edge: #5f8dbe; --measured: #e99462; --kept: #6cc08b;
  --broken: #f2857d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 960px; margin: 40px auto; padding: 0 20px; }
h1 { font-size: 22px; font-weight: 600; margin: 0 0 4px; }
h2 { font-size: 16px; font-weight: 600; margin: 36px 0 8px; }
p { margin: 4px 0; } .muted { color: var(--muted); } .kept { color: var(--kept); }
.broken { color: var(--broken); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 500; color: var(--muted); }
th, td { padding: 4px 24px 4px 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .note { text-align: left; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--muted); }
.grid, .tick { stroke: var(--line); } .phase { stroke: var(--muted); stroke-dasharray: 2 3; }
.budget { stroke: var(--ink); stroke-dasharray: 6 4; }
.predicted { fill: var(--area); } .measured { fill: none; stroke: var(--measured); stroke-width: 1.3; }
.legend span { display: inline-block; margin-right: 20px; }
.key { width: 12px; height: 12px; margin: 0 6px 0 0 !important; vertical-align: -1px; }
footer { margin-top: 40px; color: var(--muted); font-size: 13px; }
)";

std::string Verdicts(const Comparison& comparison, const Report& measured) {
  const auto line = [](bool is_kept, const std::string& text) {
    return fmt::format("<p class=\"{}\">{}</p>\n", is_kept ? "kept" : "broken", EscapeHtml(text));
  };
  std::string html =
      comparison.memory_difference.empty()
          ? line(true, "Measured memory equals the prediction to the byte.")
          : line(false, "Measured memory is not as predicted: " + comparison.memory_difference);
  if (measured.verification) {
    html += comparison.results_difference.empty()
                ? line(true, "Results equal the unplanned run's bit for bit.")
                : line(false, "Results are not equal: " + comparison.results_difference);
  }
  return html;
}

std::string Cell(const std::string& text) { return fmt::format("<td>{}</td>", EscapeHtml(text)); }

std::string Table(const Comparison& comparison) {
  std::string html =
      "<table>\n<tr><th></th><th>predicted</th><th>measured</th><th class=\"note\"></th></tr>\n";
  for (const ComparisonRow& row : comparison.rows) {
    const char* verdict = row.verdict == Verdict::kNone   ? "muted"
                          : row.verdict == Verdict::kKept ? "kept"
                                                          : "broken";
    html += fmt::format("<tr>{}{}{}<td class=\"note {}\">{}</td></tr>\n", Cell(row.label),
                        Cell(row.predicted), Cell(row.measured), verdict, EscapeHtml(row.note));
  }
  return html + "</table>\n";
}

std::string Key(const std::string& colour, const std::string& text) {
  return fmt::format("<span><span class=\"key\" style=\"background:{}\"></span>{}</span>", colour,
                     EscapeHtml(text));
}

/// A bar that shows what the highest moment consists of.
std::string RoleBar(const Report& report) {
  std::int64_t sum_bytes = 0;
  for (const RoleBytes& part : report.peak_by_role) sum_bytes += part.size_bytes;
  if (sum_bytes == 0) return "";
  std::string bar = "<svg viewBox=\"0 0 960 28\" role=\"img\" aria-label=\"Bytes by role\">\n";
  std::string legend = "<p class=\"legend\">";
  double x = 0;
  for (const RoleBytes& part : report.peak_by_role) {
    const double share = static_cast<double>(part.size_bytes) / static_cast<double>(sum_bytes);
    const char* colour = ColourOf(part.role);
    bar += fmt::format("<rect x=\"{:.2f}\" y=\"2\" width=\"{:.2f}\" height=\"24\" fill=\"{}\"/>\n",
                       x, 960 * share, colour);
    x += 960 * share;
    legend += Key(colour, fmt::format("{} {} ({:.1f} %)", ToString(part.role),
                                      FormatBytes(part.size_bytes), 100 * share));
  }
  return bar + "</svg>\n" + legend + "</p>\n";
}

/// What the colours of the picture mean.
std::string ChartLegend(const Report& predicted) {
  std::set<BufferRole> roles;
  for (const PhaseReport& phase : predicted.phases) {
    for (const Timeline* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
      for (const RolePeaks& peaks : part->peak_by_role) roles.insert(peaks.role);
    }
  }
  std::string legend = "<p class=\"legend\">" + Key("var(--measured)", "measured");
  legend += roles.empty() ? Key("var(--area)", "predicted") : "<span>predicted:</span>";
  for (const BufferRole role : roles) legend += Key(ColourOf(role), ToString(role));
  return legend + "</p>\n";
}

std::int64_t HighestBytes(const PhaseReport& phase) {
  std::int64_t highest = 0;
  for (const Timeline* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
    for (const std::int64_t bytes : part->peak_bytes) highest = std::max(highest, bytes);
  }
  return highest;
}

std::int64_t BodyDuration(const PhaseReport& phase) {
  std::int64_t end_ns = 0;
  std::int64_t begin_ns = phase.body.start_ns.empty() ? 0 : phase.body.start_ns.front();
  for (std::size_t i = 0; i < phase.body.start_ns.size(); ++i) {
    begin_ns = std::min(begin_ns, phase.body.start_ns[i]);
    end_ns = std::max(end_ns, phase.body.start_ns[i] + phase.body.duration_ns[i]);
  }
  return end_ns - begin_ns;
}

std::string Phases(const Report& predicted) {
  std::string html =
      "<table>\n<tr><th>phase</th><th>repetitions</th><th>instructions</th><th>peak</th>"
      "<th>one repetition</th></tr>\n";
  for (const PhaseReport& phase : predicted.phases) {
    html += fmt::format(
        "<tr>{}{}{}{}{}</tr>\n", Cell(phase.name), Cell(std::to_string(phase.repeat_count)),
        Cell(std::to_string(phase.body.peak_bytes.size())), Cell(FormatBytes(HighestBytes(phase))),
        Cell(FormatDuration(BodyDuration(phase))));
  }
  return html + "</table>\n";
}

}  // namespace

std::string FormatHtml(const Comparison& comparison, const Report& predicted,
                       const Report& measured, const Plan* plan) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Stint report</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<h1>Predicted and measured</h1>\n",
      kStyle);
  html += fmt::format("<p class=\"muted\">Plan {}, run {}, {} iterations, {}</p>\n",
                      measured.plan_sha256.substr(0, 12), EscapeHtml(measured.mode),
                      measured.iteration_count, EscapeHtml(measured.context.date));
  html += Verdicts(comparison, measured);
  html += "<h2>Summary</h2>\n" + Table(comparison);
  html += "<h2>Memory over time</h2>\n" + DrawMemoryChart(predicted, measured, plan);
  html += ChartLegend(predicted);
  html += "<h2>At the peak</h2>\n" + RoleBar(predicted);
  html += "<h2>Phases</h2>\n" + Phases(predicted);
  html += fmt::format("<footer>{} on {}</footer>\n</body>\n</html>\n",
                      EscapeHtml(measured.context.version), EscapeHtml(measured.context.host));
  return html;
}

}  // namespace stint
