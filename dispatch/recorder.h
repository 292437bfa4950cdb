// Writes a profile while a program runs: the host of the program and the handler of its ops.
// Includes LibTorch; internal to dispatch/.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "dispatch/capture.h"
#include "dispatch/op_call.h"
#include "dispatch/op_handler.h"
#include "dispatch/op_probe.h"

namespace stint {

/// Records one run. Keeps references to `runtime` and `options`, which outlive it.
class Recorder final : public ProgramHost, public OpHandler {
 public:
  Recorder(DeviceRuntime& runtime, const CaptureOptions& options);

  torch::Device device() const override { return device_; }
  torch::Tensor Persistent(const std::string& name, BufferRole role,
                           const std::vector<std::int64_t>& sizes, torch::ScalarType dtype,
                           torch::MemoryFormat format) override;
  void Phase(const std::string& name, std::int64_t repeat_count,
             const std::function<void()>& body) override;
  void Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) override;

  void Handle(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
              torch::jit::Stack* stack) override;

  /// What was recorded; the recorder is empty afterwards.
  /// @throws InputError if nothing was.
  Profile Finish();

 private:
  /// Where an op is issued from, for the profile and for errors.
  struct Place {
    std::string module{};
    bool is_backward = false;
  };
  Place CurrentPlace() const;

  void Record(const c10::OperatorHandle& op, torch::jit::Stack* stack, OpCall call,
              const Place& place, const std::string& where);
  const OpBehavior& BehaviorOf(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                               const OpCall& call, const std::string& where);
  void AddWorkspaces(const std::string& op_name, const std::vector<std::int64_t>& sizes_bytes);
  void CheckPhase(const std::string& where) const;
  void CheckReturns(const OpBehavior& behavior, const OpCall& call, const std::string& where) const;
  BufferId AddBuffer(Buffer buffer);
  /// The results of a call, made without running it.
  std::vector<c10::IValue> MakeReturns(const OpBehavior& behavior, const OpCall& call,
                                       const std::vector<BufferId>& new_buffers);
  /// Writes down an op that returns `returns`.
  void AddOp(const c10::OperatorHandle& op, const OpBehavior& behavior, OpCall call,
             const Place& place, const std::vector<BufferId>& new_buffers,
             const std::vector<c10::IValue>& returns);

  DeviceRuntime& runtime_;
  const CaptureOptions& options_;
  c10::Device device_;
  std::uint64_t capture_;  // Marks the storages of this recording.
  OpProbe probe_;
  std::unordered_map<std::string, OpBehavior> behaviors_{};  // By OpCall::signature.
  TensorTable tensors_{};
  std::set<std::string> persistent_names_{};
  std::int64_t random_op_count_ = 0;
  bool has_phases_ = false;
  bool is_in_phase_ = false;
  Profile profile_{};
};

}  // namespace stint
