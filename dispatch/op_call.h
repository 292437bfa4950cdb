// One call of an op as the recorder sees it: its boxed arguments, read once for the profile, for
// the signature under which its behaviour is remembered, and for running it on other memory.
// Includes LibTorch; internal to dispatch/.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dispatch/hollow.h"
#include "ir/profile.h"

namespace stint {

/// "aten::add.Tensor".
std::string OpName(const c10::OperatorHandle& op);

/// The tensors of a profile, each view written down once.
class TensorTable {
 public:
  TensorId Add(BufferId buffer, const TensorShape& shape);
  std::vector<Tensor> Take() { return std::move(tensors_); }

 private:
  std::vector<Tensor> tensors_{};
  std::map<std::string, TensorId> ids_{};
};

/// A tensor among the arguments. Borrowed from the stack.
struct ArgumentTensor {
  c10::TensorImpl* tensor = nullptr;
  std::size_t storage = 0;  // Index into OpCall::storages.
};

/// A storage that arguments view. Borrowed from the stack.
struct ArgumentStorage {
  c10::StorageImpl* storage = nullptr;
  BufferId buffer{};
};

struct OpCall {
  std::vector<Argument> arguments{};
  std::vector<ArgumentTensor> tensors{};    // In the order of the arguments, lists flattened.
  std::vector<ArgumentStorage> storages{};  // Distinct, in the order of their first tensor.
  std::vector<BufferId> writes{};           // Buffers that the schema says are written; ascending.
  bool has_wrapped_numbers = false;
  std::string signature{};  // Equal for calls that do the same work on other memory.
};

/// Reads the arguments on top of `stack`. `where` names the op in errors.
/// @throws InputError for a tensor that is not of `capture`, or not a plain strided one, and for an
/// argument of a kind that a profile cannot hold.
OpCall ReadCall(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                std::uint64_t capture, const std::string& where, TensorTable& tensors);

/// The arguments on top of `stack`, with `replace(k)` in place of the k-th of OpCall::tensors.
std::vector<c10::IValue> ReplaceTensors(const c10::OperatorHandle& op,
                                        const torch::jit::Stack& stack,
                                        const std::function<at::Tensor(std::size_t)>& replace);

}  // namespace stint
