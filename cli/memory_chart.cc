#include "cli/memory_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
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

/// The highest memory of one instruction, from its start to the next one's.
struct Step {
  double begin = 0;
  double end = 0;
  std::int64_t bytes = 0;
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
    const Step step = {.begin = curves.end,
                       .end = curves.end + std::max(width, 0.0),
                       .bytes = predicted.peak_bytes[i]};
    curves.predicted.push_back(step);
    if (i < measured.peak_bytes.size()) {
      curves.measured.push_back({step.begin, step.end, measured.peak_bytes[i]});
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
std::vector<std::int64_t> Columns(const std::vector<Step>& steps, double end) {
  std::vector<std::int64_t> columns(kColumnCount, 0);
  const double scale = end > 0 ? static_cast<double>(kColumnCount) / end : 0;
  for (const Step& step : steps) {
    const auto first = static_cast<std::size_t>(step.begin * scale);
    const auto last = static_cast<std::size_t>(std::ceil(step.end * scale));
    for (std::size_t i = first;
         i < std::clamp<std::size_t>(last, first + 1, kColumnCount) && i < kColumnCount; ++i) {
      columns[i] = std::max(columns[i], step.bytes);
    }
  }
  return columns;
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

  void DrawSteps(const char* style, const std::vector<std::int64_t>& columns, bool is_area) {
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
    svg_ += fmt::format("<path class=\"{}\" d=\"{}\"/>\n", style, path);
  }

  std::string Finish() const {
    return fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Memory over time\">\n{}</svg>\n",
        kWidth, kHeight, svg_);
  }

 private:
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

std::string DrawMemoryChart(const Report& predicted, const Report& measured, const Plan* plan) {
  const Curves curves = MakeCurves(predicted, measured);
  std::int64_t top_bytes = std::max({predicted.peak_bytes, measured.peak_bytes, kAlignmentBytes});
  const std::int64_t budget_bytes = plan == nullptr ? 0 : plan->budget_bytes - plan->overhead_bytes;
  // A budget far above everything would flatten the curves.
  const bool has_budget = budget_bytes > 0 && budget_bytes < 2 * top_bytes;
  if (has_budget) top_bytes = std::max(top_bytes, budget_bytes);

  Picture picture(curves.end, top_bytes);
  picture.DrawByteTicks();
  picture.DrawSteps("predicted", Columns(curves.predicted, curves.end), true);
  picture.DrawSteps("measured", Columns(curves.measured, curves.end), false);
  picture.DrawPhases(curves.phases);
  picture.DrawTimeTicks(curves.is_in_time);
  if (has_budget) picture.DrawBudget(budget_bytes);
  return picture.Finish();
}

}  // namespace stint
