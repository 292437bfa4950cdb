#include "cli/budget.h"

#include <fmt/format.h>

#include <cmath>

#include "cli/artifacts.h"
#include "ir/errors.h"
#include "ir/quoted.h"
#include "ir/units.h"

namespace stint {

double ParsePercent(const std::string& text, const std::string& flag) {
  std::size_t end = 0;
  double percent = 0;
  try {
    percent = std::stod(text, &end);
  } catch (const std::exception&) {
    throw InputError(flag, fmt::format("'{}' is no percentage, such as 70%", Quoted(text)));
  }
  const std::string suffix = text.substr(end);
  if (suffix != "%" && suffix != " %") {
    throw InputError(flag, fmt::format("'{}' is no percentage, such as 70%", Quoted(text)));
  }
  if (!(percent > 0 && percent <= 100)) {
    throw InputError(flag, fmt::format("'{}' is not above 0 % and at most 100 %", Quoted(text)));
  }
  return percent / 100;
}

std::int64_t ActivationBudget(const Profile& profile, double share) {
  const PlanAnswer keep_all = MakePlan(profile, {.has_budget = false, .solver = "keep-all"});
  Check(keep_all.plan.has_value(), "there is a plan that keeps everything");
  std::int64_t persistent_bytes = 0;
  for (const Buffer& buffer : profile.buffers) {
    if (buffer.is_persistent && !buffer.is_host) persistent_bytes += AlignUp(buffer.size_bytes);
  }
  const auto activation_bytes = static_cast<double>(keep_all.plan->peak_bytes - persistent_bytes);
  return OverheadBytes(profile) + persistent_bytes +
         static_cast<std::int64_t>(std::ceil(share * activation_bytes));
}

std::int64_t ParseHostBudget(const std::string& text) {
  if (text.empty()) return 0;
  const std::int64_t size_bytes = ParseBytes(text, "--host-budget");
  if (size_bytes == 0) throw InputError("--host-budget", "is zero");
  return size_bytes;
}

std::string DescribeNo(const PlanRequest& request, const PlanAnswer& answer) {
  const bool is_proved = answer.status == SolveStatus::kInfeasible;
  if (answer.min_host_bytes > 0) {
    const std::string words =
        fmt::format("{} of host memory, not within {}", ExactBytes(answer.min_host_bytes),
                    ExactBytes(request.host_budget_bytes));
    return is_proved ? "--host-budget: the snapshot of the state takes " + words
                     : fmt::format("--host-budget: the plan that {} found takes {}", request.solver,
                                   words);
  }
  std::string line =
      is_proved ? fmt::format("--budget: no plan fits {}", ExactBytes(request.budget_bytes))
                : fmt::format(
                      "--budget: {} found no plan within {}, and no proof that none "
                      "exists",
                      request.solver, ExactBytes(request.budget_bytes));
  if (request.host_budget_bytes > 0) {
    line += fmt::format(" with {} of host memory", ExactBytes(request.host_budget_bytes));
  }
  if (answer.min_budget_bytes > 0) {
    line += fmt::format("; the smallest budget that {} is {}", is_proved ? "works" : "may work",
                        ExactBytes(answer.min_budget_bytes));
  }
  if (!answer.binding.empty()) line += ": " + answer.binding;
  return line;
}

ExitCode ExitCodeOf(const PlanAnswer& answer) {
  return answer.status == SolveStatus::kInfeasible ? ExitCode::kInfeasible : ExitCode::kUnknown;
}

}  // namespace stint
