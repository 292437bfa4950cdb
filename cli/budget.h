// Budgets as people write them on the command line, and what is said where they cannot be kept.
#pragma once

#include <cstdint>
#include <string>

#include "cli/exit_code.h"
#include "ir/profile.h"
#include "planner/make_plan.h"

namespace stint {

/// Reads "70%" or "62.5 %" as a share of 1.
/// @throws InputError naming `flag` unless it is above 0 % and at most 100 %.
double ParsePercent(const std::string& text, const std::string& flag);

/// Device memory of the whole process that allows what no plan can avoid (overhead of the device,
/// persistent buffers) and `share` of what the keep-all plan needs beside them.
std::int64_t ActivationBudget(const Profile& profile, double share);

/// Of --host-budget; 0 where it is not given: any.
/// @throws InputError naming it if it is no size, or zero.
std::int64_t ParseHostBudget(const std::string& text);

/// Why there is no plan, in one line without the program's name: the flag that says so, what does
/// not fit, and the smallest budget that could.
std::string DescribeNo(const PlanRequest& request, const PlanAnswer& answer);

/// Of a command that ends because `answer` has no plan: infeasible, or unknown.
ExitCode ExitCodeOf(const PlanAnswer& answer);

}  // namespace stint
