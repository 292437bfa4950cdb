#include "cli/generation.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstring>

#include "cli/comparison.h"
#include "cli/progress.h"
#include "executor/executor.h"
#include "simulator/simulator.h"

namespace stint {

Generated Generate(const Prepared& prepared, const ValueSource& weights, const ValueSource& inputs,
                   DeviceRuntime& runtime) {
  const Plan& plan = *prepared.answer.plan;
  Generated generated = {.predicted = Simulate(prepared.profile, plan)};
  Progress progress("generating", "instructions");
  const LoadValue load = [&](const Buffer& buffer, const torch::Tensor& value) {
    progress.Update(0, 0, "reading " + buffer.name);
    (buffer.role == BufferRole::kInput ? inputs : weights).Load(buffer, value);
  };
  const auto begin = std::chrono::steady_clock::now();
  generated.measured = Execute(
      prepared.profile, plan, runtime, load,
      {.iteration_count = 0,
       .on_result =
           [&](const Buffer& buffer, const torch::Tensor& value) {
             generated.outputs[buffer.name] = value.clone();
           },
       .on_progress = [&](std::int64_t done_count,
                          std::int64_t total_count) { progress.Update(done_count, total_count); }});
  const std::chrono::nanoseconds whole = std::chrono::steady_clock::now() - begin;
  generated.load_ns = whole.count() - generated.measured.duration_ns;
  generated.difference = Compare(generated.predicted, generated.measured, &plan).memory_difference;
  return generated;
}

Image PictureOf(const Generated& generated, std::int64_t index) {
  const at::Tensor picture = generated.outputs.at("image")[index].contiguous();
  Image image = {.width_px = picture.size(1), .height_px = picture.size(0)};
  image.rgb.resize(picture.nbytes());
  std::memcpy(image.rgb.data(), picture.const_data_ptr(), image.rgb.size());
  return image;
}

}  // namespace stint
