// How near our CUDA kernels come to a plain copy: for each shape of Stable Diffusion's UNets, the
// time of one call inside a graph, the bytes that must be moved at least, and the rate that makes,
// beside a copy of as many bytes and LibTorch's own ops for the same task. Calls take turns over
// sets of tensors that together exceed any cache.
//
//     kernels_bench [batch]
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "dispatch/device_runtime.h"
#include "kernels/geglu.h"
#include "kernels/group_norm.h"

namespace stint {
namespace {

constexpr std::int64_t kWorkingSetBytes = std::int64_t{512} << 20;  // Ten times a large cache.
constexpr int kRepetitions = 15;
constexpr std::int64_t kMinCalls = 20;  // In one graph.

/// Median time of one call, in microseconds. `issue(i)` issues the i-th call.
double TimeCalls(DeviceRuntime& runtime, std::int64_t call_count,
                 const std::function<void(std::int64_t)>& issue) {
  issue(0);  // Loads kernels outside of the capture.
  const auto graph = runtime.CaptureGraph([&] {
    for (std::int64_t i = 0; i < call_count; ++i) issue(i);
  });
  std::vector<std::int64_t> times_ns;
  for (int i = 0; i < kRepetitions; ++i) {
    times_ns.push_back(runtime.TimeOnce([&] { graph->Launch(); }));
  }
  std::sort(times_ns.begin(), times_ns.end());
  return static_cast<double>(times_ns[kRepetitions / 2]) / 1e3 / static_cast<double>(call_count);
}

/// Tensors of the same sizes, as many as exceed a cache.
class Rotation {
 public:
  Rotation(at::IntArrayRef sizes, at::MemoryFormat format) {
    const auto options = at::TensorOptions(at::kBFloat16).device(at::kCUDA);
    do {
      tensors_.push_back(at::randn(sizes, options).contiguous(format));
    } while (count() * static_cast<std::int64_t>(tensors_.front().nbytes()) < kWorkingSetBytes);
  }
  std::int64_t count() const { return static_cast<std::int64_t>(tensors_.size()); }
  std::int64_t CallCount() const { return std::max(count(), kMinCalls); }
  double Bytes() const { return static_cast<double>(tensors_.front().nbytes()); }
  const at::Tensor& operator[](std::int64_t i) const {
    return tensors_[static_cast<std::size_t>(i % count())];
  }

 private:
  std::vector<at::Tensor> tensors_;
};

struct Row {
  std::string name{};
  double needed_bytes = 0;  // Of big tensors, each read or written once.
  double ours_us = 0;
  double copy_us = 0;       // Of as many bytes, half of them read.
  double reference_us = 0;  // Of LibTorch's ops, in NCHW.
};

void Print(const Row& row) {
  fmt::print("{:<34} {:8.1f} us {:7.0f} GB/s {:6.1f} % of a copy, LibTorch's {:8.1f} us\n",
             row.name, row.ours_us, row.needed_bytes / row.ours_us / 1e3,
             100 * row.copy_us / row.ours_us, row.reference_us);
}

/// Time of copying `bytes / 2`, with `rotation` as the source of sizes.
double TimeCopy(DeviceRuntime& runtime, double bytes) {
  const Rotation sources({static_cast<std::int64_t>(bytes / 4)}, at::MemoryFormat::Contiguous);
  return TimeCalls(runtime, sources.CallCount(),
                   [&](std::int64_t i) { sources[i + sources.count() / 2].copy_(sources[i]); });
}

void BenchGroupNorm(DeviceRuntime& runtime, std::int64_t batch, std::int64_t channels,
                    std::int64_t side) {
  const std::vector<std::int64_t> sizes = {batch, channels, side, side};
  const Rotation inputs(sizes, at::MemoryFormat::ChannelsLast);
  const Rotation grads(sizes, at::MemoryFormat::ChannelsLast);
  const Rotation plain(sizes, at::MemoryFormat::Contiguous);
  const at::Tensor weight = at::randn({channels}, inputs[0].options());
  const at::Tensor bias = at::randn({channels}, inputs[0].options());
  const std::int64_t calls = inputs.CallCount();
  const auto find = [](const char* name) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  };
  const std::string shape = fmt::format("{}x{}x{}x{}", batch, channels, side, side);

  Row forward = {.name = "group norm + SiLU " + shape, .needed_bytes = 2 * inputs.Bytes()};
  forward.ours_us = TimeCalls(runtime, calls, [&](std::int64_t i) {
    GroupNormNhwc(inputs[i], std::nullopt, weight, bias, {.group_count = 32, .has_silu = true});
  });
  forward.reference_us = TimeCalls(runtime, calls, [&](std::int64_t i) {
    at::silu(at::group_norm(plain[i], 32, weight, bias));
  });
  forward.copy_us = TimeCopy(runtime, forward.needed_bytes);
  Print(forward);

  // Statistics as LibTorch's backward wants them, then as ours does.
  const auto [output, plain_mean, plain_rstd] =
      at::native_group_norm(plain[0], weight, bias, batch, channels, side * side, 32, 1e-5);
  const at::Tensor mean = plain_mean.to(at::kFloat);
  const at::Tensor rstd = plain_rstd.to(at::kFloat);
  const auto backward_op = find("stint::group_norm_nhwc_backward");
  Row backward = {.name = "   its backward " + shape, .needed_bytes = 3 * inputs.Bytes()};
  backward.ours_us = TimeCalls(runtime, calls, [&](std::int64_t i) {
    torch::jit::Stack stack = {grads[i], inputs[i], c10::IValue(),    weight, bias,
                               mean,     rstd,      std::int64_t{32}, true};
    backward_op.callBoxed(stack);
  });
  backward.reference_us =
      TimeCalls(runtime, calls, [&, &mean_ = plain_mean, &rstd_ = plain_rstd](std::int64_t i) {
        const at::Tensor grad = at::silu_backward(plain[i + 1], plain[i]);
        at::native_group_norm_backward(grad, plain[i], mean_, rstd_, weight, batch, channels,
                                       side * side, 32, {true, true, true});
      });
  backward.copy_us = TimeCopy(runtime, backward.needed_bytes);
  Print(backward);
}

void BenchGeglu(DeviceRuntime& runtime, std::int64_t token_count, std::int64_t size) {
  const Rotation inputs({token_count, 2 * size}, at::MemoryFormat::Contiguous);
  const Rotation grads({token_count, size}, at::MemoryFormat::Contiguous);
  const std::string shape = fmt::format("{}x{}", token_count, size);
  Row forward = {.name = "geglu " + shape, .needed_bytes = 1.5 * inputs.Bytes()};
  forward.ours_us =
      TimeCalls(runtime, inputs.CallCount(), [&](std::int64_t i) { Geglu(inputs[i]); });
  forward.reference_us = TimeCalls(runtime, inputs.CallCount(), [&](std::int64_t i) {
    const auto halves = at::chunk(inputs[i], 2, -1);
    at::mul(halves[0], at::gelu(halves[1]));
  });
  forward.copy_us = TimeCopy(runtime, forward.needed_bytes);
  Print(forward);

  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("stint::geglu_backward", "");
  Row backward = {.name = "   its backward " + shape, .needed_bytes = 2.5 * inputs.Bytes()};
  backward.ours_us = TimeCalls(runtime, inputs.CallCount(), [&](std::int64_t i) {
    torch::jit::Stack stack = {grads[i], inputs[i]};
    op.callBoxed(stack);
  });
  backward.copy_us = TimeCopy(runtime, backward.needed_bytes);
  Print(backward);
}

void Run(std::int64_t batch) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cuda:0");
  const at::NoGradGuard no_grad;
  for (const auto& [side, channel_counts] :
       std::vector<std::pair<std::int64_t, std::vector<std::int64_t>>>{{64, {320, 640, 960}},
                                                                       {32, {320, 640, 1280, 1920}},
                                                                       {16, {640, 1280, 2560}},
                                                                       {8, {1280, 2560}}}) {
    for (const std::int64_t channels : channel_counts) {
      BenchGroupNorm(*runtime, batch, channels, side);
    }
  }
  BenchGeglu(*runtime, batch * 4096, 1280);
  BenchGeglu(*runtime, batch * 1024, 2560);
  BenchGeglu(*runtime, batch * 256, 5120);
}

}  // namespace
}  // namespace stint

int main(int argument_count, char** arguments) {
  stint::Run(argument_count > 1 ? std::atoll(arguments[1]) : 4);
  return 0;
}
