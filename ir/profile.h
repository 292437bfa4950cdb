// What one run of the workload does: the ops in the order they ran, the buffers they use, and what
// each asked of the allocator. A profile is a program: it can be replayed from the file alone.
//
//     buffer   one storage                     weight, activation, ...
//     tensor   a view of a buffer              dtype, sizes, strides, offset; costs nothing
//     op       one ATen call                   arguments, outputs, allocation script, duration
//     phase    a straight run of ops, repeated  first x1, middle x6, last x1
//
// Views are no ops: a call that only returns views of its arguments is left out, and its results
// appear as tensors. Refuses to know: plans, budgets, LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ir/device.h"
#include "ir/ids.h"

namespace stint {

enum class BufferRole : std::uint8_t {
  kWeight,          // A parameter, trained or frozen.
  kGradient,        // Of a parameter; named like it.
  kOptimizerState,  // Moments, step count.
  kEma,             // Averaged weights.
  kInput,           // Written by the caller before each run: latents, text states, learning rate.
  kConstant,        // Persistent and never written.
  kActivation,      // Everything an op makes that has no other role.
  kOutput,          // Read by the caller after the run: the loss, a denoised latent.
  kWorkspace,       // Of a library (cuBLAS): persistent, used by ops without being an argument.
};

/// One storage. Tensors are views of it; a write in place starts a new version of its value.
struct Buffer {
  std::string name{};           // "down_blocks.0.resnets.0.conv1.weight"; empty for activations.
  BufferRole role{};            //
  std::int64_t size_bytes = 0;  // Of the storage, not of one view; 0 for empty tensors.
  bool is_persistent = false;   // Holds a value before the first op and after the last.
  bool is_host = false;         // PyTorch keeps it in host memory although the program runs on a
                                // GPU (seeds of attention kernels): takes no arena space, is never
                                // freed or moved by a plan.
};

/// A view of a buffer, as an op takes or returns it.
struct Tensor {
  BufferId buffer{};
  std::string dtype{};                  // "float32", "bfloat16", "float16", "int64", ...
  std::vector<std::int64_t> sizes{};    //
  std::vector<std::int64_t> strides{};  // In elements; as many as sizes.
  std::int64_t storage_offset = 0;      // In elements from the start of the buffer.
};

/// A Python or C++ number that PyTorch passes as a zero-dimensional CPU tensor and that does not
/// take part in type promotion.
struct WrappedNumber {
  std::string dtype{};  // "float64", "int64", "bool".
  double value = 0;
};
struct NoArgument {};  // None.
struct TensorArgument {
  TensorId tensor{};
};
struct TensorListArgument {
  std::vector<std::optional<TensorId>> tensors{};
};  // Elements may be None.
struct IntListArgument {
  std::vector<std::int64_t> values{};
};
struct DoubleListArgument {
  std::vector<double> values{};
};
struct BoolListArgument {
  std::vector<bool> values{};
};
struct DeviceArgument {
  std::string device{};
};  // "cpu", "cuda:0".

/// One argument of an op, in the order of its schema. Enumerations of PyTorch (dtype, layout,
/// memory format) are integers, as its dispatcher boxes them.
using Argument = std::variant<NoArgument, bool, std::int64_t, double, std::string, TensorArgument,
                              TensorListArgument, IntListArgument, DoubleListArgument,
                              BoolListArgument, WrappedNumber, DeviceArgument>;

/// One allocator request of an op, in the order the op makes them.
struct Request {
  std::int64_t size_bytes = 0;            // As asked; > 0.
  std::optional<BufferId> buffer{};       // The buffer it becomes; empty: dies inside the op.
  std::int32_t freed_after_request = -1;  // Index of the last request made before its death, >= its
                                          // own index; -1 if it becomes a buffer.
};

/// Where a random op takes its numbers from. No global generator is used in replay.
struct RandomSource {
  std::int64_t seed = 0;    // Of the run the profile was recorded from.
  std::int64_t offset = 0;  // Distinct for every random op; an iteration's is added to it.
};

/// One ATen call.
struct Op {
  std::string name{};                 // "aten::convolution_backward", with overload after a
                                      // dot where there is one: "aten::add.Tensor".
  std::string module{};               // "down_blocks.0.resnets.1.conv1"; empty at the top.
  std::vector<Argument> arguments{};  // All of them: the call can be replayed from these.
  std::vector<std::optional<TensorId>>
      outputs{};                         // Tensors returned, lists flattened; empty where the
                                         // op returns an undefined one. An output in a buffer
                                         // that existed before is an argument written in place.
  std::vector<BufferId> writes{};        // Existing buffers written in place; ascending.
  std::vector<Request> requests{};       // The allocation script.
  std::optional<RandomSource> random{};  // Empty: draws no random numbers.
  bool is_backward = false;              // Ran inside backward: for people and pictures.
  std::int64_t duration_ns = 0;          // Median; >= 0.
  std::int64_t spread_ns = 0;            // Half the interquartile range of the timings.
};

/// A straight run of ops with a repeat count. The phases follow each other and cover all ops.
/// Values that a repetition leaves behind in place are what the next one starts from.
struct Phase {
  std::string name{};             // "step"; "first", "middle", "last"; "denoise".
  OpId begin{};                   // First op.
  OpId end{};                     // One past the last op.
  std::int64_t repeat_count = 1;  // >= 1.
};

/// What was run, in enough detail to build the same program again.
struct Workload {
  std::string model{};                  // "sd15-unet", "tiny-unet", or a path's file name.
  std::string config_json{};            // The model's own configuration, as one line of JSON.
  std::string task{};                   // "train", "train-lora", "denoise".
  std::string dtype{};                  // Of weights, moments and, without autocast, activations:
                                        // "float32", "bfloat16".
  std::string attention{};              // "flash", "cudnn", "efficient", "math", "cpu".
  std::string prediction{};             // Of the UNet: "v_prediction"; "epsilon" (the noise) or
                                        // empty.
  std::int64_t batch_count = 0;         // Samples in one micro-step.
  std::int64_t height_px = 0;           // Of the image; the latent has an eighth.
  std::int64_t width_px = 0;            //
  std::int64_t micro_step_count = 1;    // Gradient accumulation; 1 where there is none.
  std::int64_t lora_rank = 0;           // 0 where there is none.
  std::string layout = "nchw";          // Of images and convolution weights in memory; "nhwc":
                                        // channels_last, with Stint's own ops where LibTorch's
                                        // would change it back.
  std::int64_t update_group_bytes = 0;  // One fused update for parameters of together so much, or
                                        // for a single larger one; 0: for each parameter.
  double clip_norm = 0;                 // What the global norm of the gradients is clipped to; 0:
                                        // it is not.
  std::string autocast{};            // Of training float32 weights: "bfloat16", in which the UNet
                                     // computes; frozen weights are kept in it. Empty: in dtype.
  std::string rounding = "nearest";  // Of updated bfloat16 weights and moments; "stochastic".
  bool has_ema = false;              // Whether training averages what it trains, in float32.
};

/// Everything that may differ between two recordings of the same thing; left out of hashes.
struct Context {
  std::string date{};             // ISO 8601, UTC.
  std::string host{};             //
  std::string version{};          // Of Stint and LibTorch: "stint 0.1.0 (4f2a1c9), torch 2.11.0".
  std::int64_t wall_time_ns = 0;  // How long the verb took.
  std::int64_t peak_memory_bytes = 0;  // Profiling: highest device memory above the context (RAM on
                                       // a CPU). 0 where nobody looked.
  std::int64_t step_permille = 1000;   // Profiling: what ops take in a row, of what each takes when
                                       // it is repeated by itself; durations contain it.
};

struct Profile {
  Workload workload{};
  Device device{};
  bool is_deterministic = false;  // Recorded with deterministic kernels: other ops, other requests.
  std::vector<Buffer> buffers{};
  std::vector<Tensor> tensors{};
  std::vector<Op> ops{};
  std::vector<Phase> phases{};
  Context context{};
};

const char* ToString(BufferRole role);
const char* ToString(DeviceKind kind);

/// Bytes of one element of `dtype`.
/// @throws InputError (naming `where`) for a dtype that Stint does not know.
std::int64_t ElementBytes(const std::string& dtype, const std::string& where);

/// How errors and people call a buffer: "buffer 12 (conv_in.weight)".
std::string NameOf(const Profile& profile, BufferId id);

/// Checks every property stated above, and that each op reads only buffers that hold a value.
/// @throws InputError whose `where` begins with `where` ("profile.json") and goes on with a JSON
/// pointer naming the first op, tensor or buffer that breaks one.
void Validate(const Profile& profile, const std::string& where = "profile");

/// Reads and validates a profile; gunzips when the name ends in ".gz"; "-" is standard input.
/// @throws InputError naming file and JSON pointer.
Profile ReadProfile(const std::filesystem::path& path);

/// Writes to a temporary name, syncs and renames; gzips when the name ends in ".gz"; "-" is
/// standard output.
void WriteProfile(const Profile& profile, const std::filesystem::path& path);

std::string ToJson(const Profile& profile);
/// `where` names the text in errors, usually the file.
Profile ProfileFromJson(const std::string& text, const std::string& where);

/// Hash of everything but the context; the name by which plans and reports refer to a profile.
std::string ProfileSha256(const Profile& profile);

}  // namespace stint
