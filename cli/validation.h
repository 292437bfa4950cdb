// Pictures that show how far a training run is: of the same prompts and noise every so many steps,
// by the model as it is then.
//
//     <run>/validation/step-00000500-0.png     the first prompt after 500 steps
//
// They are made by a generation with a plan of its own, within the run's budget, while the run has
// left the device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/generation_request.h"
#include "cli/plan_cache.h"
#include "cli/prepare.h"
#include "dispatch/device_runtime.h"
#include "models/model_files.h"
#include "models/workload.h"
#include "trainer/state.h"

namespace stint {

struct ValidationRequest {
  std::vector<std::string> prompts{};  // In UTF-8.
  GenerateFlags flags{};               // Of each picture, but for the prompt.
  const ModelFiles& model;             // Its checkpoint may be gone.
  const ValueSource& weights;          // Of the whole model, as it was before it was trained.
  const Workload& trained;             // What the run does.
  std::optional<std::int64_t> budget_bytes{};
  std::filesystem::path run_folder{};
  std::function<bool()> should_stop{};  // Asked before each picture.
};

class Validation {
 public:
  /// Profiles and plans one picture, or finds both in `cache`. What `request` refers to and
  /// `runtime` must outlive it.
  /// @throws InputError naming `--validation-prompt` if one is not UTF-8; as Prepare does.
  Validation(ValidationRequest request, const PlanCache& cache, DeviceRuntime& runtime);

  /// Whose answer may be that nothing fits.
  const Prepared& prepared() const { return prepared_; }

  /// Paints and writes a picture of each prompt, with its settings in the PNG's text. Where the run
  /// averages what it trains, by the averages. There must be a plan.
  /// @throws InputError naming the file that cannot be written.
  void Paint(std::int64_t step_count, const StateTensors& state);

 private:
  std::unique_ptr<ValueSource> WeightsOf(const StateTensors& state) const;

  const ValidationRequest request_;
  const std::filesystem::path folder_;
  const Workload workload_;
  DeviceRuntime& runtime_;
  std::vector<std::unique_ptr<ValueSource>> inputs_{};  // By prompt.
  Prepared prepared_{};
};

}  // namespace stint
