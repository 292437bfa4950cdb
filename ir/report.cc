#include "ir/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"

namespace stint {
namespace {

std::string Difference(const std::string& what, std::int64_t predicted, std::int64_t measured) {
  if (predicted == measured) return {};
  return fmt::format("{}: {} bytes predicted, {} measured", what, predicted, measured);
}

std::string DifferenceInInstruction(const std::string& name, const Timeline& predicted,
                                    const Timeline& measured, std::size_t i) {
  const auto& expected = predicted.request_live_bytes[i];
  const auto& found = measured.request_live_bytes[i];
  for (std::size_t k = 0; k < std::min(expected.size(), found.size()); ++k) {
    std::string fact =
        Difference(fmt::format("{}, live after request {}", name, k), expected[k], found[k]);
    if (!fact.empty()) return fact;
  }
  if (expected.size() != found.size()) {
    return fmt::format("{}: {} requests predicted, {} measured", name, expected.size(),
                       found.size());
  }
  std::string fact =
      Difference(name + ", highest during it", predicted.peak_bytes[i], measured.peak_bytes[i]);
  if (!fact.empty()) return fact;
  return Difference(name + ", live after it", predicted.live_after_bytes[i],
                    measured.live_after_bytes[i]);
}

/// Where both say what their memory consists of.
std::string DifferenceInRoles(const std::string& name, const Timeline& predicted,
                              const Timeline& measured) {
  if (predicted.peak_by_role.empty() || measured.peak_by_role.empty()) return {};
  for (std::size_t k = 0; k < predicted.peak_by_role.size(); ++k) {
    const RolePeaks& expected = predicted.peak_by_role[k];
    const bool is_there = k < measured.peak_by_role.size();
    if (!is_there || measured.peak_by_role[k].role != expected.role) {
      return fmt::format("{}: {} predicted, none measured", name, ToString(expected.role));
    }
    for (std::size_t i = 0; i < expected.size_bytes.size(); ++i) {
      std::string fact = Difference(
          fmt::format("{} instruction {}, {} when most is live", name, i, ToString(expected.role)),
          expected.size_bytes[i], measured.peak_by_role[k].size_bytes[i]);
      if (!fact.empty()) return fact;
    }
  }
  if (measured.peak_by_role.size() == predicted.peak_by_role.size()) return {};
  return fmt::format("{}: {} measured, none predicted", name,
                     ToString(measured.peak_by_role[predicted.peak_by_role.size()].role));
}

std::string DifferenceInPart(const std::string& name, const Timeline& predicted,
                             const Timeline& measured) {
  const std::size_t expected_count = predicted.live_after_bytes.size();
  const std::size_t found_count = measured.live_after_bytes.size();
  for (std::size_t i = 0; i < std::min(expected_count, found_count); ++i) {
    std::string fact =
        DifferenceInInstruction(fmt::format("{} instruction {}", name, i), predicted, measured, i);
    if (!fact.empty()) return fact;
  }
  if (expected_count == found_count) return DifferenceInRoles(name, predicted, measured);
  return fmt::format("{}: {} instructions predicted, {} measured", name, expected_count,
                     found_count);
}

std::string DifferenceInPhase(const PhaseReport& predicted, const PhaseReport& measured) {
  const std::string name = "phase " + predicted.name;
  std::string fact = DifferenceInPart(name + ", prologue", predicted.prologue, measured.prologue);
  if (fact.empty()) fact = DifferenceInPart(name + ", body", predicted.body, measured.body);
  if (fact.empty()) {
    fact = DifferenceInPart(name + ", epilogue", predicted.epilogue, measured.epilogue);
  }
  return fact;
}

}  // namespace

std::vector<RolePeaks> PeaksByRole(const std::vector<BytesByRole>& by_instruction) {
  std::vector<RolePeaks> result;
  for (std::size_t role = 0; role < BytesByRole().size(); ++role) {
    RolePeaks peaks{.role = static_cast<BufferRole>(role)};
    for (const BytesByRole& bytes : by_instruction) peaks.size_bytes.push_back(bytes[role]);
    if (std::ranges::any_of(peaks.size_bytes, [](std::int64_t bytes) { return bytes != 0; })) {
      result.push_back(std::move(peaks));
    }
  }
  return result;
}

Report ReadReport(const std::filesystem::path& path) {
  return ReportFromJson(ReadText(path), path == "-" ? "standard input" : path.string());
}

void WriteReport(const Report& report, const std::filesystem::path& path) {
  WriteText(path, ToJson(report));
}

std::string FirstMemoryDifference(const Report& predicted, const Report& measured) {
  if (predicted.plan_sha256 != measured.plan_sha256) {
    throw InputError("/made_from/plan_sha256", "the reports are of different plans");
  }
  if (predicted.phases.size() != measured.phases.size()) {
    return fmt::format("{} phases predicted, {} measured", predicted.phases.size(),
                       measured.phases.size());
  }
  for (std::size_t i = 0; i < predicted.phases.size(); ++i) {
    std::string fact = DifferenceInPhase(predicted.phases[i], measured.phases[i]);
    if (!fact.empty()) return fact;
  }
  for (const Report* report : {&predicted, &measured}) {
    if (report->served.foreign.empty()) continue;
    const ForeignRequest& request = report->served.foreign.front();
    return fmt::format("{}: a request of {} bytes that the plan does not know", request.where,
                       request.size_bytes);
  }
  std::string fact = Difference("peak", predicted.peak_bytes, measured.peak_bytes);
  if (!fact.empty()) return fact;
  return Difference("arena", predicted.arena_bytes, measured.arena_bytes);
}

}  // namespace stint
