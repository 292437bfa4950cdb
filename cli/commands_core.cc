#include "cli/commands.h"
#include "cli/version.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint plan --profile profile.json.gz --budget 16GiB --output plan.json
  stint simulate --profile profile.json.gz --plan plan.json --output predicted.json

Built without LibTorch: to profile and to run, build the preset cpu or cuda.

Exit codes: 0 answered, 1 failed, 2 wrong input, 3 no plan fits, 4 unknown, 5 check failed, 70 bug.)";

}  // namespace

void AddCommands(CLI::App& app, ExitCode& exit_code) {
  AddPlanCommand(app, exit_code);
  AddSimulateCommand(app, exit_code);
  AddReportCommand(app, exit_code);
  AddImportCommand(app, exit_code);
  AddInspectCommand(app, exit_code);
  AddConvertCommand(app, exit_code);
  AddBenchSolversCommand(app, exit_code);
  AddPackCommand(app, exit_code);
}

std::string VersionText() { return kStintVersion; }

std::string ExamplesText() { return kExamples; }

}  // namespace stint
