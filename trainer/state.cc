#include "trainer/state.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "executor/values.h"
#include "files/output_folder.h"
#include "files/safetensors_writer.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "models/noise_schedule.h"
#include "models/scalar_types.h"
#include "models/training_step.h"
#include "models/unet_config.h"
#include "models/weights.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr char kFirstMoment[] = ".exp_avg";
constexpr char kSecondMoment[] = ".exp_avg_sq";
constexpr char kStep[] = "step";

TensorView ViewOf(const at::Tensor& value) {
  Check(value.is_contiguous() && value.device().is_cpu(), "state is contiguous and on the host");
  Check(value.scalar_type() == at::kFloat || value.scalar_type() == at::kBFloat16,
        "what is trained is float32 or bfloat16");
  return {.dtype = value.scalar_type() == at::kFloat ? Dtype::kF32 : Dtype::kBf16,
          .sizes = value.sizes().vec(),
          .data = {static_cast<const std::byte*>(value.const_data_ptr()), value.nbytes()}};
}

bool IsLora(const Workload& workload) { return workload.task == "train-lora"; }

/// The tensors of a resumed state by the names of buffers.
std::map<std::string, TensorView> ByBuffer(const TrainingState& state, const std::string& where) {
  std::map<std::string, TensorView> views;
  if (state.optimizer.moments.size() != state.model.size()) {
    throw InputError(where, fmt::format("has moments of {} parameters, but {} parameters",
                                        state.optimizer.moments.size(), state.model.size()));
  }
  for (std::size_t i = 0; i < state.model.size(); ++i) {
    const NamedTensor& parameter = state.model[i];
    views[parameter.name] = parameter.tensor;
    views[parameter.name + kFirstMoment] = state.optimizer.moments[i].exp_avg;
    views[parameter.name + kSecondMoment] = state.optimizer.moments[i].exp_avg_sq;
  }
  for (const NamedTensor& average : state.ema) views[average.name + kEmaSuffix] = average.tensor;
  return views;
}

void CopyView(const TensorView& view, const std::string& where, const at::Tensor& value) {
  if (at::IntArrayRef(view.sizes) != value.sizes()) {
    throw InputError(where, "has other sizes than the model's");
  }
  if (ScalarTypeOf(view.dtype) != value.scalar_type()) {
    throw InputError(where,
                     fmt::format("is of dtype {}, not the run's", SafetensorsName(view.dtype)));
  }
  // The file's bytes may lie at any address.
  const at::Tensor contiguous = at::empty(value.sizes(), value.scalar_type());
  std::memcpy(contiguous.mutable_data_ptr(), view.data.data(), view.data.size());
  value.copy_(contiguous);
}

std::vector<TensorSource> SourcesOf(const StateTensors& tensors,
                                    const std::vector<std::string>& names,
                                    const std::string& prefix, const std::string& suffix) {
  std::vector<TensorSource> sources;
  sources.reserve(names.size());
  for (const std::string& name : names) {
    sources.push_back(SourceOf(prefix + name, ViewOf(tensors.at(name + suffix))));
  }
  return sources;
}

}  // namespace

StateTensors TakeTensors(const Profile& profile, const StateSnapshot& snapshot) {
  const BufferShapes shapes(profile);
  StateTensors tensors;
  for (const Placement& place : snapshot.places()) {
    void* const data = snapshot.At(place);
    const at::Tensor value = shapes.ValueIn(place.buffer, shapes.ImageAt(place.buffer, data));
    // A value laid out otherwise (channels_last) takes no more than its own bytes besides.
    const at::Tensor dense = value.contiguous();
    if (dense.const_data_ptr() != data) std::memcpy(data, dense.const_data_ptr(), dense.nbytes());
    tensors[profile.buffers[Index(place.buffer)].name] =
        at::from_blob(data, dense.sizes(), at::TensorOptions(dense.scalar_type()));
  }
  return tensors;
}

std::vector<std::string> TrainedNames(const Workload& workload) {
  const UnetConfig config = UnetConfigFromJson(workload.config_json, workload.model);
  std::vector<std::string> names;
  for (const WeightSpec& spec :
       IsLora(workload) ? UnetAdapters(config, workload.lora_rank) : UnetWeights(config)) {
    names.push_back(spec.name);
  }
  return names;
}

void SetTensors(const StateTensors& tensors, const std::vector<std::string>& trained,
                TrainingState& state) {
  const double step = tensors.at(kStep).item<double>();
  for (const std::string& name : trained) {
    state.model.push_back({.name = name, .tensor = ViewOf(tensors.at(name))});
    state.optimizer.moments.push_back({.step = step,
                                       .exp_avg = ViewOf(tensors.at(name + kFirstMoment)),
                                       .exp_avg_sq = ViewOf(tensors.at(name + kSecondMoment))});
    const auto average = tensors.find(name + kEmaSuffix);
    if (average != tensors.end()) {
      state.ema.push_back({.name = name, .tensor = ViewOf(average->second)});
    }
  }
}

LoadValue LoadStart(const StartValues& start, const Workload& workload) {
  const auto views = std::make_shared<std::map<std::string, TensorView>>();
  if (start.resumed != nullptr) *views = ByBuffer(*start.resumed, start.where);
  const auto names = std::make_shared<std::vector<std::string>>(TrainedNames(workload));
  if (start.resumed != nullptr && names->size() != start.resumed->model.size()) {
    throw InputError(start.where, fmt::format("has {} parameters, but {} are trained",
                                              start.resumed->model.size(), names->size()));
  }
  const std::shared_ptr<ValueSource> fresh =
      MakeWeightSource(fmt::format("seed:{}", start.seed), "--seed");
  const bool is_lora = IsLora(workload);
  return [=](const Buffer& buffer, const torch::Tensor& value) {
    const auto found = views->find(buffer.name);
    if (found != views->end()) {
      return CopyView(found->second, start.where + ":" + buffer.name, value);
    }
    const bool is_adapter =
        buffer.role == BufferRole::kWeight &&
        (buffer.name.ends_with(".lora_A.weight") || buffer.name.ends_with(".lora_B.weight"));
    const bool is_trained = buffer.role == BufferRole::kOptimizerState ||
                            buffer.role == BufferRole::kEma || is_adapter || !is_lora;
    if (buffer.role == BufferRole::kConstant) {
      value.copy_(AlphasCumprod());
    } else if (buffer.role == BufferRole::kInput) {
      value.zero_();  // Each step brings its own.
    } else if (buffer.name == kStep && start.resumed != nullptr) {
      value.fill_(start.resumed->optimizer.moments.front().step);
    } else if (start.resumed != nullptr && is_trained) {
      throw InputError(start.where + ":" + buffer.name, "is missing");
    } else if (buffer.role == BufferRole::kWeight && !is_adapter) {
      start.base.Load({.name = "unet." + buffer.name, .role = buffer.role}, value);
    } else {
      fresh->Load(buffer, value);
    }
  };
}

void Export(const StateTensors& tensors, const Workload& workload, const fs::path& final_folder) {
  std::error_code error;
  fs::remove_all(final_folder, error);
  OutputFolder output(final_folder);
  const std::vector<std::string> names = TrainedNames(workload);
  const std::string suffix = workload.has_ema ? kEmaSuffix : "";
  if (IsLora(workload)) {
    WriteSafetensors(output.temporary() / "pytorch_lora_weights.safetensors",
                     SourcesOf(tensors, names, "unet.", suffix), {{"format", "pt"}});
  } else {
    const fs::path unet = output.temporary() / "unet";
    if (!fs::create_directory(unet, error)) {
      throw InputError(unet.string(), fmt::format("cannot be made ({})", error.message()));
    }
    WriteText(unet / "config.json",
              nlohmann::ordered_json::parse(workload.config_json).dump(2) + "\n");
    WriteSafetensors(unet / "diffusion_pytorch_model.safetensors",
                     SourcesOf(tensors, names, "", suffix), {{"format", "pt"}});
  }
  output.Commit();
}

}  // namespace stint
