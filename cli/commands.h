// The subcommands of `stint`. Each adds itself and its flags to the command line and, when it is
// chosen, does its work inside the parse and leaves its exit code behind. Errors are thrown.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/exit_code.h"

namespace stint {

void AddProfileCommand(CLI::App& app, ExitCode& exit_code);
void AddPlanCommand(CLI::App& app, ExitCode& exit_code);
void AddSimulateCommand(CLI::App& app, ExitCode& exit_code);
void AddRunCommand(CLI::App& app, ExitCode& exit_code);
void AddReportCommand(CLI::App& app, ExitCode& exit_code);
void AddImportCommand(CLI::App& app, ExitCode& exit_code);
void AddInspectCommand(CLI::App& app, ExitCode& exit_code);
void AddConvertCommand(CLI::App& app, ExitCode& exit_code);
void AddBenchSolversCommand(CLI::App& app, ExitCode& exit_code);
void AddPackCommand(CLI::App& app, ExitCode& exit_code);
void AddGenerateCommand(CLI::App& app, ExitCode& exit_code);
void AddTrainCommand(CLI::App& app, ExitCode& exit_code);
void AddMakeWeightsCommand(CLI::App& app, ExitCode& exit_code);

/// Adds what this build has: everything, or without LibTorch all but profile, run,
/// generate, train and make-weights.
void AddCommands(CLI::App& app, ExitCode& exit_code);

/// "stint 0.1.0 (4f2a1c9), torch 2.11.0"; without LibTorch only the first half.
std::string VersionText();

/// What `stint --help` ends with.
std::string ExamplesText();

}  // namespace stint
