#include <torch/version.h>

#include "cli/commands.h"
#include "cli/version.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint profile --model tiny-unet --task train --height 64 --width 64 --output profile.json
  stint plan --profile profile.json --activation-budget 70% --output plan.json
  stint simulate --profile profile.json --plan plan.json --output predicted.json
  stint run --profile profile.json --plan plan.json --verify --output measured.json
  stint report --predicted predicted.json --measured measured.json

Exit codes: 0 answered, 1 failed, 2 wrong input, 3 no plan fits, 4 unknown, 5 check failed, 70 bug.)";

}  // namespace

void AddCommands(CLI::App& app, ExitCode& exit_code) {
  AddProfileCommand(app, exit_code);
  AddPlanCommand(app, exit_code);
  AddSimulateCommand(app, exit_code);
  AddRunCommand(app, exit_code);
  AddReportCommand(app, exit_code);
  AddImportCommand(app, exit_code);
  AddInspectCommand(app, exit_code);
  AddConvertCommand(app, exit_code);
  AddBenchSolversCommand(app, exit_code);
  AddPackCommand(app, exit_code);
  AddGenerateCommand(app, exit_code);
  AddTrainCommand(app, exit_code);
  AddMakeWeightsCommand(app, exit_code);
}

std::string VersionText() { return std::string(kStintVersion) + ", torch " TORCH_VERSION; }

std::string ExamplesText() { return kExamples; }

}  // namespace stint
