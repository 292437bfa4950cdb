// stint inspect: a file or folder of weights -> what it holds.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "files/summary.h"
#include "ir/quoted.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint inspect sd_xl_base_1.0.safetensors
  stint inspect stable-diffusion-v1-5/ --variant fp16
  stint inspect run/checkpoint.pth --json | jq .step

FILE is a .safetensors file (a whole model in the original layout, a component, LoRA adapters), a
diffusers folder, or a training state of stint train. A pickle is read, never run.)";

struct InspectFlags {
  std::string path{};
  std::string variant{};
  bool is_json = false;
};

std::string DtypeWords(const TensorCounts& counts) {
  std::string words;
  for (const auto& [dtype, element_count] : counts.by_dtype) {
    words += (words.empty() ? "" : ", ") + std::string(SafetensorsName(dtype));
  }
  return words;
}

void PrintTable(const CheckpointSummary& summary) {
  const auto line = [](const char* name, const std::string& value) {
    fmt::print("{:<12}{}\n", name, value);
  };
  line("kind", summary.kind);
  if (!summary.family.empty()) line("model", summary.family);
  if (summary.epoch) line("epoch", fmt::format("{}", *summary.epoch));
  if (summary.step) line("step", fmt::format("{}", *summary.step));
  if (summary.lora) {
    std::string ranks;
    for (const auto& [rank, module_count] : summary.lora->ranks) {
      ranks +=
          fmt::format("{}rank {} of {} modules", ranks.empty() ? "" : ", ", rank, module_count);
    }
    line("adapters", fmt::format("{} style, {}", summary.lora->style, ranks));
  }
  fmt::print("\n{:<22}{:>9}{:>16}{:>13}  {}\n", "component", "tensors", "parameters", "size",
             "dtypes");
  for (const ComponentSummary& component : summary.components) {
    fmt::print("{:<22}{:>9}{:>16}{:>13}  {}\n", Quoted(component.name),
               component.counts.tensor_count, component.counts.parameter_count,
               FormatBytes(component.counts.size_bytes), DtypeWords(component.counts));
  }
  if (!summary.left_out.empty()) {
    fmt::print("\n{} tensors of no use to diffusers, such as {}\n", summary.left_out.size(),
               Quoted(summary.left_out.front()));
  }
  if (!summary.metadata.empty()) fmt::print("\n");
  for (const auto& [key, value] : summary.metadata) {
    fmt::print("{:<22}{}\n", Quoted(key), Quoted(value));
  }
}

void PrintJson(const CheckpointSummary& summary) {
  nlohmann::ordered_json json;
  json["kind"] = summary.kind;
  if (!summary.family.empty()) json["model"] = summary.family;
  if (summary.epoch) json["epoch"] = *summary.epoch;
  if (summary.step) json["step"] = *summary.step;
  if (summary.lora) {
    auto& lora = json["lora"];
    lora["style"] = summary.lora->style;
    lora["module_count"] = summary.lora->module_count;
    for (const auto& [rank, module_count] : summary.lora->ranks) {
      lora["ranks"].push_back({{"rank", rank}, {"module_count", module_count}});
    }
  }
  json["components"] = nlohmann::ordered_json::array();
  for (const ComponentSummary& component : summary.components) {
    nlohmann::ordered_json entry = {{"name", component.name},
                                    {"tensor_count", component.counts.tensor_count},
                                    {"parameter_count", component.counts.parameter_count},
                                    {"size_bytes", component.counts.size_bytes}};
    for (const auto& [dtype, element_count] : component.counts.by_dtype) {
      entry["element_count_by_dtype"][std::string(SafetensorsName(dtype))] = element_count;
    }
    json["components"].push_back(std::move(entry));
  }
  json["left_out"] = summary.left_out;
  json["metadata"] = summary.metadata;
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

void AddInspectCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand("inspect", "Say what a file of weights holds");
  command->footer(kExamples);
  command->add_option("FILE", flags->path, "File or diffusers folder")->required();
  command
      ->add_option("--variant", flags->variant,
                   "Of a folder: prefer model.VARIANT.safetensors (fp16)")
      ->type_name("WORD");
  command->add_flag("--json", flags->is_json, "Print JSON instead of the table");
  command->callback([flags, &exit_code] {
    const CheckpointSummary summary = Summarize(flags->path, flags->variant);
    flags->is_json ? PrintJson(summary) : PrintTable(summary);
    exit_code = ExitCode::kDone;
  });
}

}  // namespace stint
