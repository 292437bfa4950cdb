// Small programs to capture, and two ways of running them that record nothing: to compare with.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "dispatch/device_runtime.h"
#include "dispatch/program.h"
#include "ir/profile.h"

namespace stint::fixtures {

/// A block of a UNet in small, forward, loss, backward and fused AdamW for each parameter:
///
///     x -> norm -> silu -> conv -> + -> tokens -> norm -> attention -> linear -> + -> loss
///      \__________________________/             \_______________________________/
///
/// One phase for each micro-step ("micro0", "micro1", ...), then "update".
Program TrainBlock(int micro_step_count);

/// Runs `body` as the only phase of a program.
Program OnePhase(const std::function<void(ProgramHost&)>& body);

/// What one op did, as text: "aten::add.Tensor float32[2,3][3,1]".
using OpList = std::vector<std::string>;

/// The ops of an ordinary run on real memory: those that return views of their arguments are left
/// out, found by comparing storages.
OpList OrdinaryOps(const Program& program);

/// The same of a profile.
OpList RecordedOps(const Profile& profile);

/// Captures on the CPU without timing.
Profile Capture(const Program& program);

/// Gives real tensors; the same values for the same names.
class RealHost final : public ProgramHost {
 public:
  torch::Device device() const override { return torch::Device(torch::kCPU); }
  torch::Tensor Persistent(const std::string& name, BufferRole role,
                           const std::vector<std::int64_t>& sizes, torch::ScalarType dtype,
                           torch::MemoryFormat format) override;
  void Phase(const std::string& name, std::int64_t repeat_count,
             const std::function<void()>& body) override;
  void Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) override;

  std::map<std::string, at::Tensor> persistents{};
  std::map<std::string, at::Tensor> outputs{};  // Copies, with gradients as "grad:" + name.
};

/// The buffer called `name` and with `role`.
/// @throws std::out_of_range if there is none.
const Buffer& FindBuffer(const Profile& profile, const std::string& name, BufferRole role);

/// The only op called `name`.
/// @throws std::out_of_range if there is none or more than one.
const Op& FindOp(const Profile& profile, const std::string& name);

/// Runs `program` under capture and returns what it is refused with; "accepted" if it is not.
std::string Refusal(const Program& program);

}  // namespace stint::fixtures
