#include "cli/memory_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "ir/units.h"

namespace stint {
namespace {

// The plot within the picture, in its own units.
constexpr double kWidth = 960;
constexpr double kHeight = 320;
constexpr double kLeft = 78;
constexpr double kRight = 944;
constexpr double kTop = 26;
constexpr double kBottom = 282;
constexpr std::size_t kColumnCount = 866;  // One for each unit of width.
// By role, in their order.
constexpr std::array<const char*, BytesByRole().size()> kRoleColours = {
    "#4878a8", "#d58a3c", "#7a6aa8", "#a05a78", "#5f9ea0",
    "#9aa3ab", "#7fa65c", "#c2b04a", "#b4b9be"};

/// The highest memory of one instruction, from its start to the next one's.
struct Step {
  double begin = 0;
  double end = 0;
  std::int64_t bytes = 0;
  BytesByRole by_role{};  // All zero if it is not known.
};

struct PhaseMark {
  double begin = 0;
  std::string label{};
};

struct Curves {
  std::vector<Step> predicted{};
  std::vector<Step> measured{};
  std::vector<PhaseMark> phases{};
  double end = 0;  // Of the last step; nanoseconds or instructions.
  bool is_in_time = true;
};

bool HasTimes(const Report& report) { return report.duration_ns > 0; }

/// Appends one part of a phase to both curves. The measured one takes its times from the
/// prediction: inside a graph nobody measures single instructions.
void AppendPart(const Timeline& predicted, const Timeline& measured, Curves& curves) {
  const double begin = curves.end;
  const std::size_t count = predicted.peak_bytes.size();
  for (std::size_t i = 0; i < count; ++i) {
    double width = 1;
    if (curves.is_in_time) {
      const std::int64_t end_ns = i + 1 < count
                                      ? std::max(predicted.start_ns[i + 1], predicted.start_ns[i])
                                      : predicted.start_ns[i] + predicted.duration_ns[i];
      width = static_cast<double>(end_ns - predicted.start_ns.front()) + begin - curves.end;
    }
    Step step = {.begin = curves.end,
                 .end = curves.end + std::max(width, 0.0),
                 .bytes = predicted.peak_bytes[i]};
    for (const RolePeaks& peaks : predicted.peak_by_role) {
      step.by_role[static_cast<std::size_t>(peaks.role)] = peaks.size_bytes[i];
    }
    curves.predicted.push_back(step);
    if (i < measured.peak_bytes.size()) {
      curves.measured.push_back(
          {.begin = step.begin, .end = step.end, .bytes = measured.peak_bytes[i]});
    }
    curves.end = step.end;
  }
}

Curves MakeCurves(const Report& predicted, const Report& measured) {
  Curves curves = {.is_in_time = HasTimes(predicted)};
  for (std::size_t i = 0; i < std::min(predicted.phases.size(), measured.phases.size()); ++i) {
    const PhaseReport& phase = predicted.phases[i];
    const PhaseReport& found = measured.phases[i];
    curves.phases.push_back({.begin = curves.end,
                             .label = phase.repeat_count == 1
                                          ? phase.name
                                          : fmt::format("{} ×{}", phase.name, phase.repeat_count)});
    AppendPart(phase.prologue, found.prologue, curves);
    AppendPart(phase.body, found.body, curves);
    AppendPart(phase.epilogue, found.epilogue, curves);
  }
  return curves;
}

/// The highest step of each column of the plot.
std::vector<Step> Columns(const std::vector<Step>& steps, double end) {
  std::vector<Step> columns(kColumnCount);
  const double scale = end > 0 ? static_cast<double>(kColumnCount) / end : 0;
  for (const Step& step : steps) {
    const auto first = static_cast<std::size_t>(step.begin * scale);
    const auto last = static_cast<std::size_t>(std::ceil(step.end * scale));
    for (std::size_t i = first;
         i < std::clamp<std::size_t>(last, first + 1, kColumnCount) && i < kColumnCount; ++i) {
      if (step.bytes > columns[i].bytes) columns[i] = step;
    }
  }
  return columns;
}

std::vector<std::int64_t> BytesOf(const std::vector<Step>& columns) {
  std::vector<std::int64_t> bytes;
  bytes.reserve(columns.size());
  for (const Step& step : columns) bytes.push_back(step.bytes);
  return bytes;
}

/// Of each column the bytes of `role` and those below it.
std::vector<std::int64_t> BytesUpTo(std::size_t role, const std::vector<Step>& columns) {
  std::vector<std::int64_t> bytes;
  bytes.reserve(columns.size());
  for (const Step& step : columns) {
    bytes.push_back(std::accumulate(step.by_role.begin(),
                                    step.by_role.begin() + static_cast<std::ptrdiff_t>(role) + 1,
                                    std::int64_t{0}));
  }
  return bytes;
}

/// A round distance between ticks that gives at most `count` of them up to `highest`.
double TickStep(double highest, int count, bool is_binary) {
  const double rough = highest / count;
  if (is_binary) return std::exp2(std::ceil(std::log2(rough)));
  const double decade = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (decade * factor >= rough) return decade * factor;
  }
  return 10 * decade;
}

class Picture {
 public:
  Picture(double end, std::int64_t top_bytes)
      : end_(end), top_bytes_(static_cast<double>(top_bytes)) {}

  double X(double at) const { return kLeft + (kRight - kLeft) * (end_ > 0 ? at / end_ : 0); }
  double Y(double bytes) const { return kBottom - (kBottom - kTop) * bytes / top_bytes_; }

  void DrawByteTicks() {
    const double step = TickStep(top_bytes_, 5, true);
    for (int i = 0; i * step <= top_bytes_; ++i) {
      const double bytes = i * step;
      Line("grid", kLeft, Y(bytes), kRight, Y(bytes));
      Text("end", kLeft - 8, Y(bytes) + 4,
           bytes == 0 ? "0" : FormatBytes(static_cast<std::int64_t>(bytes)));
    }
  }

  void DrawTimeTicks(bool is_in_time) {
    if (end_ <= 0) return;
    const double step = TickStep(end_, 8, false);
    for (int i = 0; i * step <= end_; ++i) {
      const double at = i * step;
      const auto value = static_cast<std::int64_t>(at);
      Line("tick", X(at), kBottom, X(at), kBottom + 5);
      Text("middle", X(at), kBottom + 20,
           value == 0 ? "0" : (is_in_time ? FormatDuration(value) : std::to_string(value)));
    }
  }

  void DrawPhases(const std::vector<PhaseMark>& phases) {
    for (const PhaseMark& phase : phases) {
      if (phase.begin > 0) Line("phase", X(phase.begin), kTop, X(phase.begin), kBottom);
      Text("start", X(phase.begin) + 4, kTop - 10, phase.label);
    }
  }

  void DrawBudget(std::int64_t bytes) {
    const double y = Y(static_cast<double>(bytes));
    Line("budget", kLeft, y, kRight, y);
    Text("end", kRight - 4, y - 5, "budget of the arena " + FormatBytes(bytes));
  }

  void DrawArea(const std::string& style, const std::vector<std::int64_t>& columns) {
    DrawSteps(style, columns, true);
  }
  void DrawLine(const std::string& style, const std::vector<std::int64_t>& columns) {
    DrawSteps(style, columns, false);
  }

  std::string Finish() const {
    return fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Memory over time\">\n{}</svg>\n",
        kWidth, kHeight, svg_);
  }

 private:
  /// `style`: attributes of the path.
  void DrawSteps(const std::string& style, const std::vector<std::int64_t>& columns, bool is_area) {
    std::string path = fmt::format("M{:.1f} {:.1f}", kLeft,
                                   is_area ? kBottom : Y(static_cast<double>(columns.front())));
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i == 0 || columns[i] != columns[i - 1]) {
        path += fmt::format("H{:.0f}V{:.1f}", kLeft + static_cast<double>(i),
                            Y(static_cast<double>(columns[i])));
      }
    }
    path += fmt::format("H{:.0f}", kRight);
    if (is_area) path += fmt::format("V{:.1f}Z", kBottom);
    svg_ += fmt::format("<path {} d=\"{}\"/>\n", style, path);
  }

  void Line(const char* style, double x1, double y1, double x2, double y2) {
    svg_ += fmt::format(
        "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style, x1,
        y1, x2, y2);
  }

  void Text(const char* anchor, double x, double y, const std::string& text) {
    svg_ += fmt::format("<text text-anchor=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", anchor, x,
                        y, EscapeHtml(text));
  }

  double end_;
  double top_bytes_;
  std::string svg_{};
};

}  // namespace

std::string EscapeHtml(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

const char* ColourOf(BufferRole role) { return kRoleColours[static_cast<std::size_t>(role)]; }

std::string DrawMemoryChart(const Report& predicted, const Report& measured, const Plan* plan) {
  const Curves curves = MakeCurves(predicted, measured);
  std::int64_t top_bytes = std::max({predicted.peak_bytes, measured.peak_bytes, kAlignmentBytes});
  const std::int64_t budget_bytes = plan == nullptr ? 0 : plan->budget_bytes - plan->overhead_bytes;
  // A budget far above everything would flatten the curves.
  const bool has_budget = budget_bytes > 0 && budget_bytes < 2 * top_bytes;
  if (has_budget) top_bytes = std::max(top_bytes, budget_bytes);

  Picture picture(curves.end, top_bytes);
  picture.DrawByteTicks();
  const std::vector<Step> predicted_columns = Columns(curves.predicted, curves.end);
  picture.DrawArea("class=\"predicted\"", BytesOf(predicted_columns));
  // Each over the one before: from the whole down to the lowest role.
  for (std::size_t role = kRoleColours.size(); role-- > 0;) {
    if (!std::ranges::any_of(predicted_columns,
                             [&](const Step& step) { return step.by_role[role] > 0; })) {
      continue;
    }
    picture.DrawArea(fmt::format("fill=\"{}\"", kRoleColours[role]),
                     BytesUpTo(role, predicted_columns));
  }
  picture.DrawLine("class=\"measured\"", BytesOf(Columns(curves.measured, curves.end)));
  picture.DrawPhases(curves.phases);
  picture.DrawTimeTicks(curves.is_in_time);
  if (has_budget) picture.DrawBudget(budget_bytes);
  return picture.Finish();
}

}  // namespace stint
