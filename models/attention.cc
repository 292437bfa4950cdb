#include "models/attention.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/SDPBackend.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::array<std::pair<const char*, AttentionKind>, 5> kNames = {{
    {"flash", AttentionKind::kFlash},
    {"cudnn", AttentionKind::kCudnn},
    {"efficient", AttentionKind::kEfficient},
    {"math", AttentionKind::kMath},
    {"cpu", AttentionKind::kCpu},
}};

/// [batch, count, channels] -> [batch, heads, count, head size], a view.
at::Tensor SplitHeads(const at::Tensor& tensor, std::int64_t head_count) {
  return tensor.view({tensor.size(0), tensor.size(1), head_count, tensor.size(2) / head_count})
      .transpose(1, 2);
}

/// [batch, heads, count, head size] each -> the same.
at::Tensor AttendByMath(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        const AttentionShape& shape) {
  const at::ScalarType dtype = shape.has_float32_scores ? at::kFloat : query.scalar_type();
  const double scale = 1 / std::sqrt(static_cast<double>(query.size(3)));
  at::Tensor scores = at::matmul(at::mul(query.to(dtype), scale), key.to(dtype).transpose(2, 3));
  if (shape.is_causal) {
    const at::Tensor lowest = at::full({query.size(2), key.size(2)},
                                       -std::numeric_limits<double>::infinity(), scores.options());
    scores = at::add(scores, at::triu(lowest, 1));
  }
  return at::matmul(at::softmax(scores, -1).to(value.scalar_type()), value);
}

/// [batch, heads, count, head size] each -> the same.
at::Tensor AttendByHeads(AttentionKind kind, const at::Tensor& query, const at::Tensor& key,
                         const at::Tensor& value, const AttentionShape& shape) {
  constexpr double kNoDropout = 0;
  // Two of the kernels compute what only backward needs when told so.
  const bool is_trained = at::GradMode::is_enabled() &&
                          (query.requires_grad() || key.requires_grad() || value.requires_grad());
  switch (kind) {
    case AttentionKind::kFlash:
      return std::get<0>(
          at::_scaled_dot_product_flash_attention(query, key, value, kNoDropout, shape.is_causal));
    case AttentionKind::kCudnn:
      if (is_trained && at::globalContext().deterministicAlgorithms()) {
        // cuDNN's backward is not: the deterministic twin of a training step has another kernel.
        return AttendByHeads(AttentionKind::kFlash, query, key, value, shape);
      }
      return std::get<0>(at::_scaled_dot_product_cudnn_attention(
          query, key, value, std::nullopt, is_trained, kNoDropout, shape.is_causal));
    case AttentionKind::kEfficient:
      return std::get<0>(at::_scaled_dot_product_efficient_attention(
          query, key, value, std::nullopt, is_trained, kNoDropout, shape.is_causal));
    case AttentionKind::kCpu:
      return std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(
          query, key, value, kNoDropout, shape.is_causal));
    case AttentionKind::kMath:
      return AttendByMath(query, key, value, shape);
  }
  Check(false, "every kind of attention is handled");
  return {};
}

}  // namespace

AttentionKind AttentionKindFromName(const std::string& name) {
  for (const auto& [known_name, kind] : kNames) {
    if (name == known_name) return kind;
  }
  throw InputError("--attention",
                   fmt::format("is '{}', not flash, cudnn, efficient, math or cpu", name));
}

const char* NameOf(AttentionKind kind) { return kNames[static_cast<std::size_t>(kind)].first; }

AttentionKind FastestAttention(torch::Device device, torch::ScalarType dtype) {
  if (!device.is_cuda()) return dtype == at::kFloat ? AttentionKind::kCpu : AttentionKind::kMath;
  if (dtype == at::kFloat) return AttentionKind::kEfficient;
  const at::Tensor heads = at::empty({1, 8, 64, 64}, at::TensorOptions(dtype).device(device));
  const bool prefers_cudnn = at::_fused_sdp_choice(heads, heads, heads) ==
                             static_cast<std::int64_t>(at::SDPBackend::cudnn_attention);
  return prefers_cudnn ? AttentionKind::kCudnn : AttentionKind::kFlash;
}

void CheckAttention(AttentionKind kind, torch::Device device, torch::ScalarType dtype) {
  if (kind == AttentionKind::kMath) return;
  const bool needs_cuda = kind != AttentionKind::kCpu;
  if (device.is_cuda() != needs_cuda) {
    throw InputError(
        "--attention",
        fmt::format("is '{}', which {} does not have: choose {}", NameOf(kind), device.str(),
                    needs_cuda ? "cpu or math" : "flash, cudnn, efficient or math"));
  }
  const bool needs_half = kind == AttentionKind::kFlash || kind == AttentionKind::kCudnn;
  if (needs_half && dtype == at::kFloat) {
    throw InputError("--attention",
                     fmt::format("is '{}', which has no float32 kernel: choose efficient or math",
                                 NameOf(kind)));
  }
}

torch::Tensor Attend(AttentionKind kind, const torch::Tensor& query, const torch::Tensor& key,
                     const torch::Tensor& value, const AttentionShape& shape) {
  const at::Tensor attended =
      AttendByHeads(kind, SplitHeads(query, shape.head_count), SplitHeads(key, shape.head_count),
                    SplitHeads(value, shape.head_count), shape);
  return attended.transpose(1, 2).reshape({query.size(0), query.size(1), query.size(2)});
}

}  // namespace stint
