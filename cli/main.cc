// The program `stint`: parses the command line, runs one subcommand, and turns what it throws into
// one line on stderr and an exit code.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "ir/errors.h"

namespace stint {
namespace {

constexpr char kDescription[] =
    "Plans GPU memory for Stable Diffusion training and inference, proves how good the plan is,\n"
    "and runs the plan exactly.";

/// The first line of a message: LibTorch appends its stack.
std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

int Fail(ExitCode code, const std::string& what) {
  fmt::print(stderr, "stint: {}\n", FirstLine(what));
  return static_cast<int>(code);
}

int Main(int argc, char** argv) {
  ExitCode exit_code = ExitCode::kDone;
  CLI::App app(kDescription, "stint");
  app.require_subcommand(0, 1);  // None is refused below: so an unknown one is named.
  app.set_version_flag("--version", VersionText(), "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  AddCommands(app, exit_code);
  app.footer(ExamplesText());
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) {
      return Fail(ExitCode::kWrongInput, "a command is required; see stint --help");
    }
    return static_cast<int>(exit_code);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return Fail(ExitCode::kWrongInput, error.what());
  } catch (const InputError& error) {
    return Fail(ExitCode::kWrongInput, error.what());
  } catch (const std::logic_error& error) {
    return Fail(ExitCode::kBug, fmt::format("bug: {}", error.what()));
  } catch (const std::exception& error) {
    return Fail(ExitCode::kFailed, error.what());
  }
}

}  // namespace
}  // namespace stint

int main(int argc, char** argv) { return stint::Main(argc, argv); }
