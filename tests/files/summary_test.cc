#include "files/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "files/checkpoint.h"
#include "ir/errors.h"
#include "tests/files/small_state.h"
#include "tests/files/stable_diffusion_names.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::vector<std::string> Names(const CheckpointSummary& summary) {
  std::vector<std::string> names;
  for (const ComponentSummary& component : summary.components) names.push_back(component.name);
  return names;
}

TEST(SummaryTest, TellsTheModelAndItsComponents) {
  SmallTensors values(1);
  const TemporaryFolder folder;
  WriteOriginal(folder / "m.safetensors", SourcesOf(SdxlTensors(values)), "m");
  const CheckpointSummary summary = Summarize(folder / "m.safetensors", "");
  EXPECT_EQ(summary.kind, "original single file");
  EXPECT_EQ(summary.family, "SDXL");
  EXPECT_THAT(Names(summary), ElementsAre("unet", "vae", "text_encoder", "text_encoder_2"));
  EXPECT_EQ(summary.components[0].counts.tensor_count, 1680);
  EXPECT_EQ(summary.components[0].counts.size_bytes,
            2 * summary.components[0].counts.parameter_count);
  EXPECT_THAT(summary.metadata, ElementsAre(Pair("format", "pt")));
}

TEST(SummaryTest, TellsTheRanksOfAdapters) {
  SmallTensors values(1);
  const TemporaryFolder folder;
  std::vector<TensorSource> tensors;
  for (const auto& [name, rank] : {std::pair("unet.a", 4), {"unet.b", 4}, {"unet.c", 8}}) {
    tensors.push_back(SourceOf(std::string(name) + ".lora_A.weight", values.Make({rank, 3})));
    tensors.push_back(SourceOf(std::string(name) + ".lora_B.weight", values.Make({2, rank})));
  }
  WriteSafetensors(folder / "l.safetensors", tensors, {});
  const CheckpointSummary summary = Summarize(folder / "l.safetensors", "");
  EXPECT_EQ(summary.kind, "LoRA adapters");
  EXPECT_EQ(summary.lora.value().style, "PEFT");
  EXPECT_THAT(summary.lora.value().ranks, ElementsAre(Pair(4, 2), Pair(8, 1)));
  EXPECT_THROW(OpenCheckpoint(folder / "l.safetensors", ""), InputError);
}

TEST(SummaryTest, ReadsATrainingStateAndRefusesItAsWeights) {
  const TemporaryFolder folder;
  WriteTrainingState(folder / "s.pth", SmallState(7).state);
  const CheckpointSummary summary = Summarize(folder / "s.pth", "");
  EXPECT_EQ(summary.kind, "training state");
  EXPECT_EQ(summary.step, 7);
  EXPECT_THAT(Names(summary), ElementsAre("model_state_dict", "optimizer_state_dict", "ema"));
  // Two parameters of 6 and 3 elements, two moments of each, two steps.
  EXPECT_EQ(summary.components[1].counts.parameter_count, 2 * (6 + 3) + 2);
  try {
    OpenCheckpoint(folder / "s.pth", "");
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("is a pickle checkpoint"));
  }
}

TEST(SummaryTest, SaysWhyAPickleIsRefused) {
  const TemporaryFolder folder;
  std::ofstream(folder / "old.ckpt", std::ios::binary) << "\x80\x02"
                                                          "cposix\nsystem\n";
  try {
    Summarize(folder / "old.ckpt", "");
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a pickle is a program, and files are not run here"));
  }
}

TEST(SummaryTest, CountsTensorsOfNoModel) {
  SmallTensors values(1);
  const TemporaryFolder folder;
  WriteSafetensors(folder / "t.safetensors", {SourceOf("x", values.Make({2, 3}))}, {});
  const CheckpointSummary summary = Summarize(folder / "t.safetensors", "");
  EXPECT_EQ(summary.kind, "tensors");
  EXPECT_EQ(summary.components[0].counts.parameter_count, 6);
}

}  // namespace
}  // namespace stint
