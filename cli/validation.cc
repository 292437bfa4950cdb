#include "cli/validation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstdio>
#include <system_error>
#include <utility>

#include "cli/generation.h"
#include "ir/errors.h"
#include "models/checkpoint_weights.h"
#include "models/generation_inputs.h"
#include "models/training_step.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr char kUnet[] = "unet.";

/// The UNet as it was trained so far, all else as it was.
class TrainedWeights : public ValueSource {
 public:
  TrainedWeights(const ValueSource& base, const StateTensors& state, std::string suffix)
      : base_(base), state_(state), suffix_(std::move(suffix)) {}

  void Load(const Buffer& buffer, const torch::Tensor& value) const override {
    if (!buffer.name.starts_with(kUnet)) return base_.Load(buffer, value);
    value.copy_(state_.at(buffer.name.substr(sizeof(kUnet) - 1) + suffix_));
  }

 private:
  const ValueSource& base_;
  const StateTensors& state_;
  std::string suffix_;
};

GenerateFlags WithPrompt(GenerateFlags flags, const std::string& prompt) {
  flags.prompt = prompt;
  return flags;
}

}  // namespace

Validation::Validation(ValidationRequest request, const PlanCache& cache, DeviceRuntime& runtime)
    : request_(std::move(request)),
      folder_(request_.run_folder / "validation"),
      workload_(GenerationWorkload(request_.flags, request_.model,
                                   torch::Device(request_.flags.prepare.device))),
      runtime_(runtime) {
  for (const std::string& prompt : request_.prompts) {
    try {
      inputs_.push_back(MakeGenerationInputs(
          workload_, MakeGenerationRequest(WithPrompt(request_.flags, prompt), workload_),
          request_.model.tokenizers));
    } catch (const InputError& error) {
      throw InputError("--validation-prompt", error.fact());
    }
  }
  prepared_ = Prepare({.workload = workload_,
                       .is_deterministic = request_.flags.prepare.is_deterministic,
                       .budget_bytes = request_.budget_bytes,
                       .time_limit_s = request_.flags.prepare.plan_time_s},
                      cache, runtime_);
}

/// Adapters are merged into the weights as from a file that somebody else made.
std::unique_ptr<ValueSource> Validation::WeightsOf(const StateTensors& state) const {
  if (request_.trained.task != "train-lora") {
    return std::make_unique<TrainedWeights>(request_.weights, state,
                                            request_.trained.has_ema ? kEmaSuffix : "");
  }
  const fs::path adapters = folder_ / "adapters";
  Export(state, request_.trained, adapters);
  ModelFiles model = OpenModel({.path = request_.flags.model, .variant = request_.flags.variant});
  auto weights =
      MakeCheckpointWeights(std::move(model.checkpoint), request_.flags.model,
                            PipelineConfigFromJson(workload_.config_json, request_.flags.model),
                            {{.path = adapters / "pytorch_lora_weights.safetensors"}});
  std::error_code ignored;
  fs::remove_all(adapters, ignored);  // It is open: its bytes stay as long as they are read.
  return weights;
}

void Validation::Paint(std::int64_t step_count, const StateTensors& state) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw InputError(folder_.string(), "cannot be made (" + error.message() + ")");
  const std::unique_ptr<ValueSource> weights = WeightsOf(state);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (request_.should_stop && request_.should_stop()) return;
    const Generated generated = Generate(prepared_, *weights, *inputs_[i], runtime_);
    if (!generated.difference.empty()) {
      fmt::print(stderr, "stint: validation after step {}: {}\n", step_count, generated.difference);
    }
    const std::string parameters =
        DescribeParameters(WithPrompt(request_.flags, request_.prompts[i]), workload_, 0);
    WritePng(folder_ / fmt::format("step-{:08}-{}.png", step_count, i), PictureOf(generated, 0),
             {{"parameters", fmt::format("{}, Training step: {}", parameters, step_count)}});
  }
}

}  // namespace stint
