#include "models/generation_inputs.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "ir/errors.h"
#include "models/generate.h"
#include "models/noise_schedule.h"
#include "models/pipeline_config.h"
#include "models/sampler.h"

namespace stint {
namespace {

class GenerationInputs : public ValueSource {
 public:
  GenerationInputs(const Workload& workload, const GenerationRequest& request,
                   const std::vector<ClipTokenizer>& tokenizers)
      : seed_(request.seed) {
    const PipelineConfig config = PipelineConfigFromJson(workload.config_json, workload.model);
    Check(tokenizers.size() == config.text_encoders.size(), "each text encoder has a tokenizer");
    for (std::size_t i = 0; i < tokenizers.size(); ++i) {
      values_[i == 0 ? "token_ids" : "token_ids_2"] = TokenIds(
          tokenizers[i], config.text_encoders[i].position_count, request, workload.batch_count);
    }
    const auto height_px = static_cast<double>(workload.height_px);
    const auto width_px = static_cast<double>(workload.width_px);
    const at::Tensor time_ids = at::empty({2 * workload.batch_count, kTimeIdCount});
    std::int64_t column = 0;
    for (const double number : {height_px, width_px, 0.0, 0.0, height_px, width_px}) {
      time_ids.select(1, column++).fill_(number);
    }
    values_["time_ids"] = time_ids;
    const SamplerSchedule schedule =
        MakeSamplerSchedule(config.scheduler, config.step_count, AlphasCumprodValues());
    values_["sampler_steps"] = SamplerTable(schedule);
    values_["initial_scale"] = at::full({}, schedule.initial_scale);
    values_["guidance_scale"] = at::full({}, request.guidance_scale);
  }

  void Load(const Buffer& buffer, const torch::Tensor& value) const override {
    if (buffer.name == "noise") {
      value.copy_(at::randn(value.sizes(), at::detail::createCPUGenerator(seed_), value.options()));
      return;
    }
    const auto found = values_.find(buffer.name);
    Check(found != values_.end(), "every input of a generation is known");
    value.copy_(found->second);
  }

 private:
  /// Without the prompt, then with it: int64 [2 batch, token_count].
  static at::Tensor TokenIds(const ClipTokenizer& tokenizer, std::int64_t token_count,
                             const GenerationRequest& request, std::int64_t batch_count) {
    const at::Tensor ids = at::empty({2 * batch_count, token_count}, at::kLong);
    for (std::int64_t i = 0; i < 2 * batch_count; ++i) {
      const std::string& prompt = i < batch_count ? request.negative_prompt : request.prompt;
      const std::vector<std::int64_t> row =
          tokenizer.EncodePadded(prompt, token_count, tokenizer.pad_id());
      std::copy(row.begin(), row.end(), ids[i].mutable_data_ptr<std::int64_t>());
    }
    return ids;
  }

  std::uint64_t seed_;
  std::map<std::string, at::Tensor> values_;
};

}  // namespace

std::unique_ptr<ValueSource> MakeGenerationInputs(const Workload& workload,
                                                  const GenerationRequest& request,
                                                  const std::vector<ClipTokenizer>& tokenizers) {
  return std::make_unique<GenerationInputs>(workload, request, tokenizers);
}

}  // namespace stint
