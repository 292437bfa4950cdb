// Prints a sampler's schedule: sampler_steps CONFIG SAMPLER STEPS < alphas. CONFIG is the text of a
// scheduler_config.json, SAMPLER a word of --sampler or empty. First line: initial scale, has
// history; then a line for each step. For parity_samplers.py.
#include <iostream>
#include <limits>
#include <string>

#include "models/sampler.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::vector<double> alphas_cumprod;
  for (double alpha = 0; std::cin >> alpha;) alphas_cumprod.push_back(alpha);
  const stint::SchedulerConfig config =
      stint::ReadSchedulerConfig(stint::ConfigReader(std::string(argv[1]), "config"), argv[2]);
  const stint::SamplerSchedule schedule =
      stint::MakeSamplerSchedule(config, std::stoll(argv[3]), alphas_cumprod);
  std::cout.precision(std::numeric_limits<double>::max_digits10);
  std::cout << schedule.initial_scale << ' ' << schedule.has_history << '\n';
  for (const stint::SamplerStep& step : schedule.steps) {
    std::cout << step.timestep << ' ' << step.input_scale << ' ' << step.next_latents << ' '
              << step.next_predicted << ' ' << step.next_history << ' ' << step.signal_latents
              << ' ' << step.signal_predicted << '\n';
  }
  return 0;
}
