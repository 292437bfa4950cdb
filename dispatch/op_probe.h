// Runs one op on scratch memory with random content, to learn what every call of its signature
// does: what it returns, what it asks of the allocator and in which order, how long it takes.
// The tensors of the program are not touched. Includes LibTorch; internal to dispatch/.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dispatch/capture.h"
#include "dispatch/device_runtime.h"
#include "dispatch/hollow.h"
#include "dispatch/op_call.h"

namespace stint {

/// A storage that an op makes.
struct NewStorage {
  std::int64_t size_bytes = 0;  // 0 for empty tensors.
  bool is_host = false;         // In host memory although the device is not the CPU.
};

/// A tensor that an op returns.
struct ReturnedTensor {
  enum class Kind : std::uint8_t {
    kUndefined,
    kArgument,      // The index-th tensor argument itself: the op works in place.
    kViewArgument,  // A view of the index-th argument storage.
    kNew,           // A view of the index-th new storage.
  };
  Kind kind{};
  std::size_t index = 0;
  TensorShape shape{};  // Of kViewArgument and kNew.
};

/// One value that an op returns: a tensor, a list of them, or a number that is always the same.
struct ReturnedValue {
  std::vector<ReturnedTensor> tensors{};  // One unless is_list.
  bool is_list = false;
  std::optional<c10::IValue> constant{};  // Set for numbers.
};

/// Like Request, before new storages are buffers.
struct ScriptedRequest {
  std::int64_t size_bytes = 0;
  std::optional<std::size_t> new_storage{};
  std::int32_t freed_after_request = -1;
};

/// What all calls of one signature have in common.
struct OpBehavior {
  std::vector<NewStorage> new_storages{};
  std::vector<ReturnedValue> returns{};
  std::vector<ScriptedRequest> script{};
  std::vector<std::int64_t> workspace_bytes{};  // Asked for by the first run and kept by a library.
  OpTiming timing{};
};

/// Runs ops for their behaviour. Keeps references to `runtime` and `options`, which outlive it.
class OpProbe {
 public:
  OpProbe(DeviceRuntime& runtime, const CaptureOptions& options);

  /// `call` is what ReadCall says about the arguments on `stack`.
  /// @throws InputError naming `where` if the op reshapes an argument or keeps memory at every run.
  OpBehavior Run(const c10::OperatorHandle& op, const torch::jit::Stack& stack, const OpCall& call,
                 const std::string& where);

 private:
  /// Storages like those of `call` one after the other from `memory` on, filled with random
  /// numbers.
  std::vector<c10::Storage> MakeStorages(const OpCall& call, std::byte* memory);
  OpTiming Time(const std::function<void()>& issue, const std::vector<ScriptedRequest>& script);

  DeviceRuntime& runtime_;
  const CaptureOptions& options_;
  at::Generator generator_;  // So that random ops leave the program's generator alone.
};

}  // namespace stint
