#include "cli/train_flags.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint train --model sd15/ --data boats/ --output run/ --lora 8 --steps 1000
  stint train --model sdxl/ --data boats/ --output run/ --lora 16 --size 1024x1024 \
              --dtype bfloat16 --device cuda:0 --budget 12GiB --steps 2000 --checkpoint-every 200
  stint train --model sd15/ --data boats/ --output run/ --batch 4 --accumulate 4 --clip-norm 1 \
              --schedule cosine --warmup 100 --min-snr 5 --steps 5000
  stint train --model sd15/ --data boats/ --output run/ --lora 8 --steps 1000 --resume latest
  stint train --model sd15/ --data boats/ --output run/ --lora 8 --validation-every 100 \
              --validation-prompt "a red boat" --validation-prompt "a boat in fog"
  stint train --model sdxl/ --data boats/ --output run/ --lora 16 --size 1024x1024 --aspect-buckets

The folder has captions beside the pictures (a.png, a.txt) or in metadata.jsonl. Pictures and
captions are encoded once. With --aspect-buckets each is cut to the nearest of several shapes
between 1:2 and 2:1; each shape has a plan within the budget, and between steps of two shapes the
run leaves the device. A run stopped by Ctrl-C, by SIGTERM or by force goes on with --resume latest:
to the same bits, whatever the budget. With --dtype bfloat16 weights and AdamW's moments are
bfloat16, rounded stochastically; with --rounding nearest, updates smaller than a weight's last bit
are lost. Exit 3: nothing fits the budget.)";

void AddDataFlags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--model", flags.model, "Diffusers folder")->required()->type_name("FOLDER");
  command.add_option("--variant", flags.variant, "Prefer model.VARIANT.safetensors")
      ->type_name("WORD");
  command.add_option("--data", flags.data, "PNG and JPEG pictures with captions")
      ->required()
      ->type_name("FOLDER");
  command.add_flag("--skip-bad-pictures", flags.skips_bad_pictures,
                   "Leave out pictures that are damaged or have no caption, and name them");
  command
      .add_option("--data-cache", flags.data_cache,
                  "Where latents and text states are kept, for other runs, too (default: cache/ in "
                  "the output folder)")
      ->type_name("FOLDER");
  command
      .add_option("--output", flags.output,
                  "Of the run: checkpoint.pth, metrics.jsonl, and final/ at the end")
      ->required()
      ->type_name("FOLDER");
  command
      .add_option("--resume", flags.resume,
                  "Go on from the newest state of the output folder, or from a file")
      ->type_name("latest|FILE");
}

void AddTrainingFlags(CLI::App& command, TrainFlags& flags) {
  const auto count = [&](const char* name, std::int64_t& value, const char* help) {
    command.add_option(name, value, help)
        ->type_name("N")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  };
  command
      .add_option("--lora", flags.lora_rank,
                  "Train low-rank adapters of the attentions (default: the whole UNet)")
      ->type_name("RANK")
      ->check(CLI::PositiveNumber);
  count("--steps", flags.step_count, "Of the whole run, those before it was resumed with them");
  count("--batch", flags.batch_count, "Samples in one micro-step");
  count("--accumulate", flags.accumulate_count, "Micro-steps in one step, each with its samples");
  command
      .add_option("--size", flags.size,
                  "Pictures are scaled to cover it and cut around the centre (default: what the "
                  "model was trained for)")
      ->type_name("WIDTHxHEIGHT");
  command.add_flag("--aspect-buckets", flags.has_aspect_buckets,
                   "Cut each picture to the nearest of several shapes, of at most the area of "
                   "--size; a step's samples have one shape, and each shape its plan");
  command
      .add_option("--learning-rate", flags.learning_rate,
                  "After the warm-up (default: 1e-5, with --lora 1e-4)")
      ->type_name("RATE")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--schedule", flags.schedule, "constant, cosine or linear, down to 0")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--warmup", flags.warmup_step_count, "Steps from rate 0 up to the full one")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--clip-norm", flags.clip_norm,
                  "Scale gradients down to this global norm (default: do not)")
      ->type_name("NORM")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--min-snr", flags.min_snr_gamma,
                  "Weigh samples by min-SNR with this gamma, 5 as a rule (default: do not)")
      ->type_name("GAMMA")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--ema", flags.ema_decay,
                  "Average what is trained with this decay, 0.9999 as a rule: final/ has the "
                  "averages (default: do not)")
      ->type_name("DECAY")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--seed", flags.seed, "Of the order, noise, timesteps and new adapters")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  count("--checkpoint-every", flags.steps_per_checkpoint, "Steps between saved states");
  count("--keep", flags.keep_count, "Saved states that are kept");
  command.add_flag("--tensorboard", flags.has_tensorboard,
                   "Write loss, learning rate and speed as an event file of TensorBoard, too");
}

void AddValidationFlags(CLI::App& command, TrainFlags& flags) {
  CLI::Option* const prompt =
      command
          .add_option("--validation-prompt", flags.validation_prompts,
                      "Paint this with what was trained so far, into validation/ of the output "
                      "folder; may be given again")
          ->type_name("TEXT")
          ->take_all()
          ->expected(1);
  command
      .add_option("--validation-every", flags.steps_per_validation,
                  "Training steps between such pictures")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->needs(prompt)
      ->capture_default_str();
  command.add_option("--validation-steps", flags.validation_step_count, "Denoising steps of each")
      ->type_name("N")
      ->check(CLI::Range(1, 999))
      ->needs(prompt)
      ->capture_default_str();
  command
      .add_option("--validation-guidance", flags.validation_guidance,
                  "How far the prompt is followed; up to 1: no guidance")
      ->type_name("SCALE")
      ->check(CLI::Range(0.0, 1000.0))
      ->needs(prompt)
      ->capture_default_str();
}

void AddPlanFlags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--dtype", flags.dtype, "Of weights and moments: float32 or bfloat16")
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--autocast", flags.autocast,
                  "bfloat16: weights and moments stay float32, the UNet computes in this, and "
                  "what is frozen is kept in it (default: do not)")
      ->type_name("NAME");
  command
      .add_option("--rounding", flags.rounding,
                  "Of updated bfloat16 weights and moments: stochastic, or nearest, which loses "
                  "small updates (default: stochastic)")
      ->type_name("NAME");
  command
      .add_option("--host-budget", flags.host_budget,
                  "Pinned host memory, for what the plan moves there and for the snapshot that a "
                  "save takes (default: as much as it takes)")
      ->type_name("SIZE");
  AddPrepareFlags(command, flags.prepare);
}

}  // namespace

void AddTrainFlags(CLI::App& command, TrainFlags& flags) {
  command.footer(kExamples);
  AddDataFlags(command, flags);
  AddTrainingFlags(command, flags);
  AddValidationFlags(command, flags);
  AddPlanFlags(command, flags);
  command.add_flag("--json", flags.is_json, "Print the summary as JSON");
}

}  // namespace stint
