// page_plan PROFILE BASE OUTPUT STATE_MIB ACTIVATION_MIB: writes the plan that PagedPlan makes of
// BASE, for runs of real models.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "ir/check_plan.h"
#include "simulator/simulator.h"
#include "tests/support/paged_plan.h"

namespace stint {
namespace {

constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;

void Run(char** arguments) {
  const Profile profile = ReadProfile(arguments[1]);
  const Plan base = ReadPlan(arguments[2]);
  Plan plan = PagedPlan(profile, base,
                        {.state_bytes = std::atoll(arguments[4]) * kMebibyte,
                         .activation_bytes = std::atoll(arguments[5]) * kMebibyte,
                         .is_hidden = true});
  plan.overhead_bytes = base.overhead_bytes;
  plan.budget_bytes = plan.arena_bytes + plan.overhead_bytes;
  plan.duration_ns = Simulate(profile, plan).duration_ns;
  CheckPlan(profile, plan);
  WritePlan(plan, arguments[3]);
}

}  // namespace
}  // namespace stint

int main(int argument_count, char** arguments) {
  if (argument_count != 6) {
    std::fputs("usage: page_plan PROFILE BASE OUTPUT STATE_MIB ACTIVATION_MIB\n", stderr);
    return 2;
  }
  try {
    stint::Run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "page_plan: %s\n", error.what());
    return 2;
  }
  return 0;
}
