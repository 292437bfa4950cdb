#include "models/generation_inputs.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "ir/errors.h"
#include "models/generate.h"
#include "models/noise_schedule.h"
#include "models/pipeline_config.h"
#include "models/sampler.h"
#include "models/workload_details.h"

namespace stint {
namespace {

class GenerationInputs : public ValueSource {
 public:
  GenerationInputs(const Workload& workload, const GenerationRequest& request,
                   const std::vector<ClipTokenizer>& tokenizers) {
    const PipelineConfig config = PipelineConfigFromJson(workload.config_json, workload.model);
    Check(tokenizers.size() == config.text_encoders.size(), "each text encoder has a tokenizer");
    for (std::size_t i = 0; i < tokenizers.size(); ++i) {
      values_[i == 0 ? "token_ids" : "token_ids_2"] =
          TokenIds(tokenizers[i], config, config.text_encoders[i].position_count, request,
                   workload.batch_count);
    }
    const auto height_px = static_cast<double>(workload.height_px);
    const auto width_px = static_cast<double>(workload.width_px);
    const at::Tensor time_ids =
        at::empty({config.SamplesPerPicture() * workload.batch_count, kTimeIdCount});
    std::int64_t column = 0;
    for (const double number : {height_px, width_px, 0.0, 0.0, height_px, width_px}) {
      time_ids.select(1, column++).fill_(number);
    }
    values_["time_ids"] = time_ids;
    const bool has_picture = config.picture_step_count > 0;
    Check(has_picture == request.picture.has_value(), "a picture comes in where one is expected");
    const SamplerSchedule schedule =
        MakeSamplerSchedule(config.scheduler, config.step_count, AlphasCumprodValues(),
                            config.step_count - config.DoneStepCount());
    values_["sampler_steps"] = SamplerTable(schedule);
    values_["initial_scale"] =
        at::full({}, has_picture ? schedule.picture_noise_scale : schedule.initial_scale);
    values_["guidance_scale"] = at::full({}, request.guidance_scale);

    // In the order in which diffusers draws: first what picks the picture's latents.
    auto generator = at::detail::createCPUGenerator(request.seed);
    std::vector<std::int64_t> latent_sizes = LatentSizes(workload, config.unet);
    if (has_picture) {
      std::vector<std::int64_t> picture_sizes = latent_sizes;
      picture_sizes[0] = 1;
      values_["picture_noise"] = at::randn(picture_sizes, generator, at::kFloat);
      values_["picture"] = PictureValue(*request.picture);
      values_["picture_scale"] = at::full({}, schedule.picture_scale);
    }
    values_["noise"] = at::randn(latent_sizes, generator, at::kFloat);
  }

  void Load(const Buffer& buffer, const torch::Tensor& value) const override {
    const auto found = values_.find(buffer.name);
    Check(found != values_.end(), "every input of a generation is known");
    value.copy_(found->second);
  }

 private:
  /// Of the negative prompts, if they are encoded, then of the prompts: int64 [.., token_count].
  static at::Tensor TokenIds(const ClipTokenizer& tokenizer, const PipelineConfig& config,
                             std::int64_t token_count, const GenerationRequest& request,
                             std::int64_t batch_count) {
    const std::int64_t row_count = config.PromptsPerPicture() * batch_count;
    const at::Tensor ids = at::empty({row_count, token_count}, at::kLong);
    for (std::int64_t i = 0; i < row_count; ++i) {
      const bool is_negative = i < row_count - batch_count;
      const std::string& prompt = is_negative ? request.negative_prompt : request.prompt;
      const std::vector<std::int64_t> row =
          tokenizer.EncodePadded(prompt, token_count, tokenizer.pad_id());
      std::copy(row.begin(), row.end(), ids[i].mutable_data_ptr<std::int64_t>());
    }
    return ids;
  }

  /// float32 [1, 3, height, width] in [-1, 1].
  static at::Tensor PictureValue(const Image& picture) {
    const at::Tensor bytes = at::empty({picture.height_px, picture.width_px, 3}, at::kByte);
    std::memcpy(bytes.mutable_data_ptr(), picture.rgb.data(), picture.rgb.size());
    constexpr double kWhite = 255;
    const at::Tensor shares = at::div(bytes.to(at::kFloat), kWhite);
    return at::sub(at::mul(shares, 2), 1).permute({2, 0, 1}).unsqueeze(0);
  }

  std::map<std::string, at::Tensor> values_;
};

}  // namespace

std::unique_ptr<ValueSource> MakeGenerationInputs(const Workload& workload,
                                                  const GenerationRequest& request,
                                                  const std::vector<ClipTokenizer>& tokenizers) {
  return std::make_unique<GenerationInputs>(workload, request, tokenizers);
}

}  // namespace stint
