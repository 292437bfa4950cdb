#include "files/training_state.h"

#include <fmt/format.h>

#include <cstring>
#include <deque>
#include <utility>

#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

PthItem Item(std::string key, PthValue value) {
  return {PthValue{std::move(key)}, std::move(value)};
}

PthValue DictOf(const std::vector<NamedTensor>& tensors) {
  PthDict dict;
  dict.reserve(tensors.size());
  for (const NamedTensor& tensor : tensors) dict.push_back(Item(tensor.name, {tensor.tensor}));
  return {std::move(dict)};
}

PthValue DictOf(const StateWords& words) {
  PthDict dict;
  dict.reserve(words.size());
  for (const auto& [key, word] : words) {
    dict.push_back(Item(key, std::visit([](const auto& one) { return PthValue{one}; }, word)));
  }
  return {std::move(dict)};
}

/// torch.optim.AdamW(...).state_dict(). `steps` keeps what the step tensors point to.
PthValue DictOf(const AdamWState& optimizer, std::int64_t parameter_count,
                std::deque<float>& steps) {
  PthDict state;
  for (const AdamWMoments& moments : optimizer.moments) {
    steps.push_back(static_cast<float>(moments.step));
    const TensorView step = {.dtype = Dtype::kF32,
                             .data = std::as_bytes(std::span(&steps.back(), 1))};
    state.push_back({PthValue{static_cast<std::int64_t>(state.size())},
                     PthValue{PthDict{Item("step", {step}), Item("exp_avg", {moments.exp_avg}),
                                      Item("exp_avg_sq", {moments.exp_avg_sq})}}});
  }
  PthList parameters;
  parameters.reserve(static_cast<std::size_t>(parameter_count));
  for (std::int64_t i = 0; i < parameter_count; ++i) parameters.push_back({i});
  const PthTuple betas = {{PthValue{optimizer.beta1}, PthValue{optimizer.beta2}}};
  PthDict group = {Item("lr", {optimizer.learning_rate}),
                   Item("betas", {betas}),
                   Item("eps", {optimizer.epsilon}),
                   Item("weight_decay", {optimizer.weight_decay}),
                   Item("amsgrad", {false}),
                   Item("maximize", {false}),
                   Item("foreach", {}),
                   Item("capturable", {false}),
                   Item("differentiable", {false}),
                   Item("fused", {}),
                   Item("decoupled_weight_decay", {true}),
                   Item("params", {std::move(parameters)})};
  PthList groups;
  groups.push_back({std::move(group)});
  return {PthDict{Item("state", {std::move(state)}), Item("param_groups", {std::move(groups)})}};
}

/// Reads members of one dictionary and names the place of those that are wrong.
class Reader {
 public:
  Reader(const PthValue& dict, std::string where) : dict_(dict), where_(std::move(where)) {
    if (!std::holds_alternative<PthDict>(dict.value)) {
      throw InputError(where_, "is not a dictionary");
    }
  }

  [[noreturn]] void Fail(const std::string& key, const std::string& fact) const {
    throw InputError(Place(key), fact);
  }
  std::string Place(const std::string& key) const { return where_ + "/" + Quoted(key); }
  const PthDict& dict() const { return std::get<PthDict>(dict_.value); }

  const PthValue& At(const std::string& key) const {
    const PthValue* const found = dict_.Find(key);
    if (found == nullptr) Fail(key, "is missing");
    return *found;
  }
  template <typename T>
  const T& Get(const std::string& key, const char* kind) const {
    const auto* const value = std::get_if<T>(&At(key).value);
    if (value == nullptr) Fail(key, fmt::format("is not {}", kind));
    return *value;
  }
  double Number(const std::string& key) const {
    const PthValue& value = At(key);
    if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
      return static_cast<double>(*integer);
    }
    return Get<double>(key, "a number");
  }
  Reader Sub(const std::string& key) const { return {At(key), Place(key)}; }

  std::string Name(const PthItem& item) const {
    if (const auto* name = std::get_if<std::string>(&item.key.value)) return *name;
    throw InputError(where_, "has a key that is not a text");
  }

 private:
  const PthValue& dict_;
  std::string where_;
};

std::vector<NamedTensor> TensorsOf(const Reader& reader) {
  std::vector<NamedTensor> tensors;
  for (const PthItem& item : reader.dict()) {
    const std::string name = reader.Name(item);
    tensors.push_back({name, reader.Get<TensorView>(name, "a tensor")});
  }
  return tensors;
}

StateWords WordsOf(const Reader& reader) {
  StateWords words;
  for (const PthItem& item : reader.dict()) {
    const std::string name = reader.Name(item);
    if (const auto* integer = std::get_if<std::int64_t>(&item.value.value)) {
      words[name] = *integer;
    } else if (const auto* number = std::get_if<double>(&item.value.value)) {
      words[name] = *number;
    } else {
      words[name] = reader.Get<std::string>(name, "a number or a text");
    }
  }
  return words;
}

double StepOf(const Reader& moments) {
  const PthValue& value = moments.At("step");
  const auto* const tensor = std::get_if<TensorView>(&value.value);
  if (tensor == nullptr) return moments.Number("step");
  if (tensor->dtype != Dtype::kF32 || tensor->data.size() != sizeof(float)) {
    moments.Fail("step", "is not one float32 number");
  }
  float step = 0;
  std::memcpy(&step, tensor->data.data(), sizeof(step));
  return static_cast<double>(step);
}

AdamWState OptimizerOf(const Reader& reader) {
  const auto& groups = reader.Get<PthList>("param_groups", "a list");
  if (groups.size() != 1) reader.Fail("param_groups", "is not one group of parameters");
  const Reader group(groups[0], reader.Place("param_groups") + "/0");
  AdamWState optimizer = {.learning_rate = group.Number("lr"),
                          .epsilon = group.Number("eps"),
                          .weight_decay = group.Number("weight_decay")};
  const auto& betas = group.Get<PthTuple>("betas", "a tuple");
  for (const PthValue& beta : betas.elements) {
    if (betas.elements.size() != 2 || !std::holds_alternative<double>(beta.value)) {
      group.Fail("betas", "are not two numbers");
    }
  }
  if (betas.elements.size() == 2) {
    optimizer.beta1 = std::get<double>(betas.elements[0].value);
    optimizer.beta2 = std::get<double>(betas.elements[1].value);
  }
  const Reader states = reader.Sub("state");
  for (const PthItem& item : states.dict()) {
    const std::string place = fmt::format("{}/{}", reader.Place("state"), optimizer.moments.size());
    const auto* const index = std::get_if<std::int64_t>(&item.key.value);
    if (index == nullptr || *index != static_cast<std::int64_t>(optimizer.moments.size())) {
      throw InputError(place, "is missing or not in its order");
    }
    const Reader moments(item.value, place);
    optimizer.moments.push_back({.step = StepOf(moments),
                                 .exp_avg = moments.Get<TensorView>("exp_avg", "a tensor"),
                                 .exp_avg_sq = moments.Get<TensorView>("exp_avg_sq", "a tensor")});
  }
  return optimizer;
}

}  // namespace

void WriteTrainingState(const std::filesystem::path& path, const TrainingState& state) {
  std::deque<float> steps;
  const auto parameter_count = static_cast<std::int64_t>(state.model.size());
  PthDict root = {Item("epoch", {state.epoch}),
                  Item("step", {state.step}),
                  Item("model_state_dict", DictOf(state.model)),
                  Item("optimizer_state_dict", DictOf(state.optimizer, parameter_count, steps)),
                  Item("ema", DictOf(state.ema)),
                  Item("scheduler", DictOf(state.scheduler)),
                  Item("rng", DictOf(state.rng)),
                  Item("data_order", DictOf(state.data_order)),
                  Item("run", DictOf(state.run))};
  WritePth(path, {std::move(root)});
}

LoadedTrainingState ReadTrainingState(const std::filesystem::path& path) {
  LoadedTrainingState loaded = {.file = std::make_unique<PthFile>(path)};
  const Reader reader(loaded.file->root(), path.string() + ":");
  loaded.state = {.epoch = reader.Get<std::int64_t>("epoch", "an integer"),
                  .step = reader.Get<std::int64_t>("step", "an integer"),
                  .model = TensorsOf(reader.Sub("model_state_dict")),
                  .optimizer = OptimizerOf(reader.Sub("optimizer_state_dict")),
                  .ema = TensorsOf(reader.Sub("ema")),
                  .scheduler = WordsOf(reader.Sub("scheduler")),
                  .rng = WordsOf(reader.Sub("rng")),
                  .data_order = WordsOf(reader.Sub("data_order"))};
  if (loaded.file->root().Find("run") != nullptr) loaded.state.run = WordsOf(reader.Sub("run"));
  return loaded;
}

}  // namespace stint
