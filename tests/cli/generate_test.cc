// stint make-weights and stint generate, from the shell: a tiny model becomes pictures on the CPU.
// Whether these are diffusers' is experiment 05's question.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "files/image.h"
#include "files/mapped_file.h"
#include "tests/cli/stint_program.h"

namespace stint {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class GenerateTest : public StintProgramTest {
 protected:
  void MakeModel(const std::string& name, const std::string& flags = "") {
    const Outcome outcome = Stint("make-weights --model " + name + " --output model " + flags);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// The summary of a picture painted with these flags.
  json Generate(const std::string& flags) {
    const Outcome outcome = Stint(kCommand + flags + " --json");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.exit_code == 0 ? json::parse(outcome.out) : json();
  }

  static constexpr const char* kCommand =
      "generate --model model --prompt 'a red boat' --size 64x64 --steps 2 --output out.png "
      "--cache cache --latents latents.safetensors ";
};

TEST_F(GenerateTest, PaintsTheSamePictureFromTheCacheAndWithinABudget) {
  MakeModel("tiny-sd15");
  const json first = Generate("");
  EXPECT_TRUE(first["is_memory_equal"]);
  EXPECT_EQ(first["measured_arena_bytes"], first["predicted_arena_bytes"]);
  EXPECT_FALSE(first["has_cached_profile"]);
  EXPECT_FALSE(first["has_cached_plan"]);
  const std::string picture = Read("out.png");
  const std::string latents = Read("latents.safetensors");

  const json second = Generate("");
  EXPECT_TRUE(second["has_cached_profile"]);
  EXPECT_TRUE(second["has_cached_plan"]);
  EXPECT_EQ(Read("out.png"), picture);

  const Outcome no = Stint(std::string(kCommand) + "--budget 1KiB --json");
  EXPECT_EQ(no.exit_code, 3);
  EXPECT_THAT(no.err, HasSubstr("stint: --budget: no plan fits 1.00 KiB"));
  const auto least_bytes = json::parse(no.out)["min_budget_bytes"].get<std::int64_t>();
  const auto whole_bytes = first["measured_arena_bytes"].get<std::int64_t>();
  ASSERT_LT(least_bytes, whole_bytes);
  const json tight = Generate("--budget " + std::to_string(whole_bytes - 512) + "B");
  EXPECT_TRUE(tight["has_cached_profile"]);
  EXPECT_FALSE(tight["has_cached_plan"]);
  EXPECT_TRUE(tight["is_memory_equal"]);
  EXPECT_LT(tight["measured_arena_bytes"], first["measured_arena_bytes"]);
  EXPECT_EQ(Read("out.png"), picture);
  EXPECT_EQ(Read("latents.safetensors"), latents);

  Generate("--seed 1");
  EXPECT_NE(Read("latents.safetensors"), latents);
}

TEST_F(GenerateTest, WritesSettingsIntoEachPictureOfABatch) {
  MakeModel("tiny-sdxl", "--dtype float16");
  const Outcome outcome = Stint(
      "generate --model model --prompt 'a red boat' --negative-prompt fog --size 64x32 --steps 1 "
      "--sampler ddim --guidance 4 --seed 7 --batch 2 --output out.png --no-cache");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(Exists("out.png"));
  for (const std::string name : {"out-0.png", "out-1.png"}) {
    const MappedFile file(folder_ / name);
    const ImageSize size = DecodeImageSize(file.bytes(), name);
    EXPECT_EQ(size.width_px, 64);
    EXPECT_EQ(size.height_px, 32);
    const std::string text = DecodePngTexts(file.bytes(), name).at("parameters");
    EXPECT_THAT(text, HasSubstr("a red boat\nNegative prompt: fog\nSteps: 1, Sampler: ddim, CFG "
                                "scale: 4, Seed: 7, Size: 64x32, Model: model"));
  }
  EXPECT_NE(Read("out-0.png"), Read("out-1.png"));
}

TEST_F(GenerateTest, TakesASingleFileWithATokenizer) {
  MakeModel("tiny-sd15");
  const json folder = Generate("");
  const std::string latents = Read("latents.safetensors");
  ASSERT_EQ(Stint("convert --input model --output file.safetensors").exit_code, 0);
  const std::string command =
      "generate --model file.safetensors --config tiny-sd15 --prompt 'a red boat' --size 64x64 "
      "--steps 2 --output out.png --cache cache --latents latents.safetensors ";
  EXPECT_THAT(Stint(command).err, HasSubstr("stint: --tokenizer: is needed"));
  const Outcome outcome = Stint(command + "--tokenizer model/tokenizer --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Read("latents.safetensors"), latents);
}

TEST_F(GenerateTest, PassesOverDamagedCacheFiles) {
  MakeModel("tiny-sd15");
  Generate("");
  ASSERT_EQ(Shell("for f in cache/*/*; do head -c 100 $f > cut; cp cut $f; done").exit_code, 0);
  const json again = Generate("");
  EXPECT_FALSE(again["has_cached_profile"]);
  EXPECT_FALSE(again["has_cached_plan"]);
  EXPECT_TRUE(Generate("")["has_cached_plan"]);
}

TEST_F(GenerateTest, RefusesBadInputInOneLineAndLeavesNothing) {
  MakeModel("tiny-sd15");
  const auto expect_refused = [&](const std::string& flags, const std::string& fact) {
    const Outcome outcome = Stint("generate --prompt boat --output out.png --no-cache " + flags);
    EXPECT_EQ(outcome.exit_code, 2) << flags << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fact));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(Exists("out.png"));
  };
  expect_refused("--model missing", "stint: missing: there is no folder or file");
  Write("old.ckpt",
        "\x80\x02"
        "cposix\nsystem\n");
  expect_refused("--model old.ckpt", "old.ckpt: is a pickle checkpoint");
  expect_refused("--model model --size 100x64", "--size: the width is 100, not a multiple of 64");
  expect_refused("--model model --size big", "--size: is 'big'");
  expect_refused("--model model --sampler magic", "--sampler: is 'magic'");
  expect_refused("--model model --lora missing.safetensors", "missing.safetensors: ");
  expect_refused("--model model --lora model/unet/diffusion_pytorch_model.safetensors",
                 "holds no LoRA adapters");
  expect_refused("--model model --init-image model/model_index.json", "model_index.json: ");
  expect_refused("--model model --init-image x.png --strength 0.01", "--strength: ");
  expect_refused("--model model --budget 6GB", "--budget: ");
  expect_refused("--model model --prompt \"$(printf '\\377')\"", "--prompt");
  ASSERT_EQ(Shell("sed -i 's/\"cross_attention_dim\": [0-9]*/\"cross_attention_dim\": 48/' "
                  "model/unet/config.json")
                .exit_code,
            0);
  expect_refused("--model model", "model:/unet/cross_attention_dim: is 48");
  ASSERT_EQ(Shell("rm model/unet/config.json").exit_code, 0);
  expect_refused("--model model", "model/unet/config.json");
}

TEST_F(GenerateTest, MakeWeightsRefusesWhatItCannotMake) {
  const auto expect_refused = [&](const std::string& flags, const std::string& fact) {
    const Outcome outcome = Stint("make-weights " + flags);
    EXPECT_EQ(outcome.exit_code, 2) << flags << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fact));
    EXPECT_FALSE(Exists("new"));
  };
  Write("merges.txt", "a b c\n");
  ASSERT_EQ(Shell("mkdir old").exit_code, 0);
  expect_refused("--model sd9 --output new", "--model: is 'sd9', not one of sd15");
  expect_refused("--model tiny-sd15 --output old", "old: is there already");
  expect_refused("--model tiny-sd15 --output new --dtype int8", "--dtype: is 'int8'");
  expect_refused("--model tiny-sd15 --output new --merges merges.txt", "merges.txt:1: is not two");
  EXPECT_EQ(Shell("ls -A | grep -c tmp").out, "0\n");
}

}  // namespace
}  // namespace stint
