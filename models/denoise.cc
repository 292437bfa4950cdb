#include "models/denoise.h"

#include <ATen/ATen.h>

#include <string>
#include <unordered_map>

#include "dispatch/scope.h"
#include "models/unet.h"
#include "models/workload_details.h"

namespace stint {
namespace {

constexpr double kGuidanceScale = 7.5;

/// predicted [2 b, channels, h, w], without the prompt and then with it; latents and result float32
/// [b, channels, h, w].
at::Tensor Sample(const at::Tensor& predicted, const at::Tensor& latents,
                  const at::Tensor& latent_scale, const at::Tensor& noise_scale) {
  const ModuleScope module("sampler");
  const auto halves = at::chunk(predicted.to(at::kFloat), 2, 0);
  at::Tensor noise = at::sub(halves[1], halves[0]);
  noise = at::add(halves[0], at::mul(noise, kGuidanceScale));
  noise = at::mul(noise, noise_scale);
  return at::add(at::mul(latents, latent_scale), noise);
}

}  // namespace

void RunDenoise(ProgramHost& host, const Workload& workload, const UnetConfig& config) {
  const UnetOptions options = {.attention = AttentionOf(workload, host.device()),
                               .is_nhwc = workload.layout == "nhwc"};
  const at::ScalarType dtype = ScalarTypeOf(workload);
  const std::int64_t unet_batch_count = 2 * workload.batch_count;

  std::unordered_map<std::string, at::Tensor> weights;
  for (const WeightSpec& spec : UnetWeights(config)) {
    weights.emplace(spec.name, host.Persistent(spec.name, BufferRole::kWeight, spec.sizes, dtype,
                                               FormatOf(spec, options.is_nhwc)));
  }
  const auto input = [&](const std::string& name, const std::vector<std::int64_t>& sizes,
                         at::ScalarType input_dtype) {
    return host.Persistent(name, BufferRole::kInput, sizes, input_dtype);
  };
  const at::Tensor latents = input("latents", LatentSizes(workload, config), at::kFloat);
  const at::Tensor timestep = input("timestep", {1}, at::kLong);
  const UnetInputs conditions = DeclareConditions(host, workload, config, unet_batch_count);
  const at::Tensor latent_scale = input("latent_scale", {}, at::kFloat);
  const at::Tensor noise_scale = input("noise_scale", {}, at::kFloat);

  const FindWeight find_weight = [&](const std::string& name) { return weights.at(name); };
  host.Phase("denoise", 1, [&] {
    const at::NoGradGuard no_grad;
    UnetInputs inputs = conditions;
    inputs.latents = at::cat({latents, latents}, 0).to(dtype);
    inputs.timesteps = timestep.expand({unet_batch_count});
    const at::Tensor predicted = RunUnet(config, options, find_weight, inputs);
    host.Mark(Sample(predicted, latents, latent_scale, noise_scale), "latents",
              BufferRole::kOutput);
  });
}

}  // namespace stint
