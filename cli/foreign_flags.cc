#include "cli/foreign_flags.h"

#include <CLI/CLI.hpp>

namespace stint {

void AddForeignFlags(CLI::App& command, ForeignFlags& flags) {
  command
      .add_option("--cost-model", flags.cost_model,
                  "Times and machine of whole steps: sd15 (52 ms, 4.5 of them updates, 0.85 GiB "
                  "outside the arena) or sdxl (97, 12, 0.95); both copy 44 GB/s each way")
      ->type_name("NAME")
      ->check(CLI::IsMember({"sd15", "sdxl"}));
  command
      .add_option("--link-bytes-per-s", flags.link_bytes_per_s,
                  "Copies between device and host, each way, also at once (25000000000); 10 us a "
                  "copy besides")
      ->type_name("RATE")
      ->check(CLI::PositiveNumber);
  command.add_flag("--fp32-states", flags.has_fp32_states,
                   "Whole steps: twice the bytes of weights, moments and gradients");
  command.add_flag("--separate-outputs", flags.has_separate_outputs,
                   "DTR logs: each output of an op is a storage of its own (else one an op, as "
                   "published figures have it)");
}

ForeignOptions ToOptions(const ForeignFlags& flags) {
  ForeignOptions options = flags.cost_model == "sd15"   ? Sd15StepOptions()
                           : flags.cost_model == "sdxl" ? SdxlStepOptions()
                                                        : ForeignOptions{};
  if (flags.link_bytes_per_s > 0) options.link_bytes_per_s = flags.link_bytes_per_s;
  options.has_doubled_states = flags.has_fp32_states;
  options.has_separate_outputs = flags.has_separate_outputs;
  return options;
}

}  // namespace stint
