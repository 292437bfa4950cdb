// Ways in which LibTorch makes a recording differ from an ordinary run, one test for each.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dispatch/allocator_hook.h"
#include "dispatch/capture.h"
#include "dispatch/op_handler.h"
#include "dispatch/scope.h"
#include "ir/errors.h"
#include "tests/dispatch/programs.h"

namespace stint {
namespace {

using fixtures::Capture;
using fixtures::FindOp;
using fixtures::OnePhase;
using fixtures::OrdinaryOps;
using fixtures::RecordedOps;
using fixtures::Refusal;
using testing::ElementsAre;
using testing::HasSubstr;

at::Tensor Input(ProgramHost& host, const std::vector<std::int64_t>& sizes = {4, 4}) {
  return host.Persistent("x", BufferRole::kInput, sizes, at::kFloat);
}

TEST(CaptureTrapsTest, InferenceModeRecordsTheOpsThatCompositesAreMadeOf) {
  const Program program = [](ProgramHost& host) {
    const at::Tensor x = Input(host);
    const at::Tensor bias = host.Persistent("bias", BufferRole::kWeight, {4}, at::kFloat);
    const c10::InferenceMode inference;
    at::layer_norm(at::linear(at::linear(x, x, bias), x, bias), {4});
  };

  const Profile profile = Capture(program);

  EXPECT_EQ(RecordedOps(profile), OrdinaryOps(program));
  ASSERT_EQ(profile.ops.size(), 3U);
  EXPECT_EQ(profile.ops[0].name, "aten::addmm");
  EXPECT_EQ(profile.ops[2].name, "aten::native_layer_norm");
}

TEST(CaptureTrapsTest, AutocastCastsTheSameWeightsOnce) {
  const Program program = [](ProgramHost& host) {
    const at::Tensor x = Input(host);
    at::Tensor weight = host.Persistent("w", BufferRole::kWeight, {4, 4}, at::kFloat);
    weight.requires_grad_();
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::increment_nesting();
    const at::Tensor y = at::mm(at::mm(x, weight), weight);
    at::autocast::decrement_nesting();
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
    y.sum().backward();
  };

  const Profile profile = Capture(program);

  EXPECT_EQ(RecordedOps(profile), OrdinaryOps(program));
  EXPECT_NO_THROW(Validate(profile));
}

TEST(CaptureTrapsTest, AWriteThroughAViewIsAWriteOfTheBuffer) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    at::Tensor x = Input(host);
    x.select(0, 1).narrow(0, 2, 2).relu_();
    x.unsqueeze_(0).mul_(2);  // Changes how the tensor looks at its storage, in place.
  }));

  ASSERT_EQ(profile.ops.size(), 2U);
  const Op& relu = profile.ops[0];
  EXPECT_EQ(relu.name, "aten::relu_");
  EXPECT_THAT(relu.writes, ElementsAre(BufferId{0}));
  EXPECT_TRUE(relu.requests.empty());
  const Tensor& written =
      profile.tensors[Index(std::get<TensorArgument>(relu.arguments[0]).tensor)];
  EXPECT_EQ(written.buffer, BufferId{0});
  EXPECT_EQ(written.storage_offset, 6);
  EXPECT_THAT(written.sizes, ElementsAre(2));
  EXPECT_EQ(relu.outputs[0], std::get<TensorArgument>(relu.arguments[0]).tensor);
  const Op& mul = profile.ops[1];
  EXPECT_THAT(profile.tensors[Index(*mul.outputs[0])].sizes, ElementsAre(1, 4, 4));
}

TEST(CaptureTrapsTest, ChannelsLastStridesAreKept) {
  const Program program = [](ProgramHost& host) {
    const at::Tensor x = Input(host, {2, 4, 6, 6}).contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor w = host.Persistent("w", BufferRole::kWeight, {8, 4, 3, 3}, at::kFloat);
    w.requires_grad_();
    at::conv2d(x, w, {}, 1, 1).square().mean().backward();
  };

  const Profile profile = Capture(program);

  EXPECT_EQ(RecordedOps(profile), OrdinaryOps(program));
  const Op& convolution = FindOp(profile, "aten::convolution");
  EXPECT_THAT(profile.tensors[Index(*convolution.outputs[0])].strides, ElementsAre(288, 1, 48, 8));
}

TEST(CaptureTrapsTest, FusedOptimizersWriteEveryTensorOfTheirLists) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    const auto state = [&](const std::string& name) {
      return host.Persistent(name, BufferRole::kOptimizerState, {4}, at::kFloat);
    };
    const at::Tensor lr = host.Persistent("lr", BufferRole::kInput, {}, at::kFloat);
    const at::Tensor step = host.Persistent("step", BufferRole::kOptimizerState, {}, at::kFloat);
    at::_fused_adamw_({state("w0"), state("w1")}, {state("g0"), state("g1")},
                      {state("m0"), state("m1")}, {state("v0"), state("v1")}, {}, {step, step}, lr,
                      0.9, 0.999, 0.01, 1e-8, false, false);
  }));

  std::set<std::string> written;
  for (const BufferId id : profile.ops[0].writes) written.insert(profile.buffers[Index(id)].name);
  EXPECT_THAT(written, ElementsAre("g0", "g1", "m0", "m1", "v0", "v1", "w0", "w1"));
}

TEST(CaptureTrapsTest, OpsThatReadValuesAreRefusedByOpAndModule) {
  const auto refusal = [](const std::function<void(const at::Tensor&)>& use) {
    return Refusal(OnePhase([&use](ProgramHost& host) {
      const ModuleScope scope("scheduler");
      use(at::relu(Input(host)));
    }));
  };

  EXPECT_THAT(refusal([](const at::Tensor& x) { x.sum().item(); }),
              HasSubstr("aten::_local_scalar_dense in scheduler: copies data to the host"));
  EXPECT_THAT(refusal([](const at::Tensor& x) { at::nonzero(x); }), HasSubstr("aten::nonzero in"));
  EXPECT_THAT(refusal([](const at::Tensor& x) { at::equal(x, x); }), HasSubstr("aten::equal in"));
  EXPECT_THAT(refusal([](const at::Tensor& x) { x.index({at::gt(x, 0)}); }),
              HasSubstr("aten::index.Tensor in scheduler: copies data to the host"));
  EXPECT_THAT(refusal([](const at::Tensor& x) { at::is_nonzero(x.sum()); }),
              HasSubstr("copies data to the host"));
  EXPECT_THAT(refusal([](const at::Tensor& x) { x.resize_({8}); }),
              HasSubstr("aten::resize_ in scheduler: resizes"));
}

TEST(CaptureTrapsTest, TouchingTheMemoryOfAHollowTensorThrows) {
  EXPECT_THAT([] { Capture(OnePhase([](ProgramHost&) {
                     at::tensor({1.0F, 2.0F});
                   })); },
              testing::ThrowsMessage<c10::Error>(HasSubstr("it may only issue ATen ops")));
}

TEST(CaptureTrapsTest, RandomOpsTakeTheirNumbersFromSeedAndOffset) {
  const at::Generator global = at::globalContext().defaultGenerator(at::kCPU);
  const at::Tensor state_before = global.get_state();

  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    at::Tensor x = Input(host);
    x.normal_();
    x.uniform_();
    x.normal_();
  }));

  std::set<std::int64_t> offsets;
  for (const Op& op : profile.ops) {
    ASSERT_TRUE(op.random.has_value());
    offsets.insert(op.random->offset);
  }
  EXPECT_EQ(offsets.size(), 3U);
  EXPECT_TRUE(at::equal(global.get_state(), state_before));
}

TEST(CaptureTrapsTest, RandomOpsWithoutAGeneratorAreRefused) {
  EXPECT_THAT(Refusal(OnePhase([](ProgramHost& host) { at::randn_like(Input(host)); })),
              HasSubstr("aten::randn_like: draws random numbers, but takes no generator"));
  const auto attention = [](double dropout) {
    return OnePhase([dropout](ProgramHost& host) {
      const at::Tensor q = Input(host, {1, 2, 16, 8});
      at::_scaled_dot_product_flash_attention_for_cpu(q, q, q, dropout);
    });
  };
  EXPECT_EQ(Refusal(attention(0.0)), "accepted");  // Tagged as random, but draws nothing.
}

TEST(CaptureTrapsTest, NobodyHoldsATensorAfterItsOp) {
  Capture(OnePhase([](ProgramHost& host) {
    const at::Tensor x = Input(host);
    const at::Tensor y = at::relu(x);
    EXPECT_EQ(y.use_count(), 1U);
    EXPECT_EQ(y.storage().use_count(), 1U);
    EXPECT_EQ(x.use_count(), 1U);
    const std::tuple<at::Tensor, at::Tensor> pair = at::var_mean(x, 0, true);
    EXPECT_EQ(std::get<0>(pair).use_count(), 1U);
    EXPECT_EQ(std::get<1>(pair).storage().use_count(), 1U);
  }));
}

TEST(CaptureTrapsTest, AStorageAtTheAddressOfADeadOneIsAnotherBuffer) {
  std::set<const void*> addresses;
  const Profile profile = Capture(OnePhase([&](ProgramHost& host) {
    const at::Tensor x = Input(host);
    for (int i = 0; i < 50; ++i) {
      addresses.insert(at::relu(x).storage().unsafeGetStorageImpl());
    }
  }));

  EXPECT_LT(addresses.size(), 50U);  // Else this test shows nothing.
  EXPECT_EQ(profile.buffers.size(), 51U);
}

TEST(CaptureTrapsTest, TensorsOfAnotherCaptureAreRefused) {
  at::Tensor kept;
  Capture(OnePhase([&](ProgramHost& host) { kept = at::relu(Input(host)); }));

  EXPECT_THAT(Refusal(OnePhase([&](ProgramHost& host) { at::add(Input(host), kept); })),
              HasSubstr("that the program did not make"));
}

TEST(CaptureTrapsTest, AnExceptionLeavesTheThreadAsItWas) {
  const bool was_multithreading = c10::AutogradState::get_tls_state().get_multithreading_enabled();
  const Program fails_in_backward = [](ProgramHost& host) {
    const ModuleScope scope("broken");
    const at::Tensor x = Input(host).requires_grad_();
    const at::Tensor y = at::relu(x);
    y.register_hook([](const at::Tensor& gradient) { gradient.sum().item(); });
    y.sum().backward();
  };

  EXPECT_THAT(Refusal(fails_in_backward), HasSubstr("aten::_local_scalar_dense"));

  EXPECT_EQ(c10::AutogradState::get_tls_state().get_multithreading_enabled(), was_multithreading);
  EXPECT_FALSE(c10::impl::tls_is_dispatch_key_included(kCaptureKey));
  EXPECT_FALSE(c10::impl::tls_is_dispatch_key_excluded(kCaptureKey));
  EXPECT_EQ(CurrentModulePath(), "");
  EXPECT_EQ(at::ones({3}).sum().item<float>(), 3);
  EXPECT_EQ(Capture(fixtures::TrainBlock(1)).ops.size(),
            OrdinaryOps(fixtures::TrainBlock(1)).size());
}

/// Sizes that are asked for, in order.
class SizeListener final : public AllocatorListener {
 public:
  void* OnRequest(std::int64_t size_bytes) noexcept override {
    sizes_bytes.push_back(size_bytes);
    return nullptr;
  }
  void OnServedNatively(void*, std::int64_t) noexcept override {}
  void OnFree(void*) noexcept override {}

  std::vector<std::int64_t> sizes_bytes{};
};

TEST(CaptureTrapsTest, TheScriptOfAConvolutionsBackwardIsInTheOrderOfItsRequests) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    const at::Tensor x = Input(host, {2, 8, 12, 12});
    const at::Tensor w = host.Persistent("w", BufferRole::kWeight, {16, 8, 3, 3}, at::kFloat);
    const at::Tensor gradient =
        host.Persistent("g", BufferRole::kInput, {2, 16, 12, 12}, at::kFloat);
    at::convolution_backward(gradient, x, w, at::IntArrayRef{16}, {1, 1}, {1, 1}, {1, 1}, false,
                             {0, 0}, 1, {true, true, true});
  }));

  const at::Tensor x = at::rand({2, 8, 12, 12});
  const at::Tensor w = at::rand({16, 8, 3, 3});
  const at::Tensor gradient = at::rand({2, 16, 12, 12});
  SizeListener listener;
  {
    const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
    at::convolution_backward(gradient, x, w, at::IntArrayRef{16}, {1, 1}, {1, 1}, {1, 1}, false,
                             {0, 0}, 1, {true, true, true});
  }

  const Op& op = profile.ops[0];
  std::vector<std::int64_t> sizes_bytes;
  std::set<BufferId> made;
  for (std::size_t i = 0; i < op.requests.size(); ++i) {
    const Request& request = op.requests[i];
    sizes_bytes.push_back(request.size_bytes);
    if (request.buffer) {
      made.insert(*request.buffer);
    } else {
      EXPECT_GE(request.freed_after_request, static_cast<std::int32_t>(i));
    }
  }
  EXPECT_EQ(sizes_bytes, listener.sizes_bytes);
  EXPECT_GT(sizes_bytes.size(), 3U);  // More than its outputs.
  std::set<BufferId> outputs;
  for (const auto& output : op.outputs) outputs.insert(profile.tensors[Index(*output)].buffer);
  EXPECT_EQ(made, outputs);
  EXPECT_EQ(outputs.size(), 3U);
}

TEST(CaptureTrapsTest, OutputsThatAreNotAskedForAreUndefined) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    const at::Tensor x = Input(host, {2, 8, 12, 12});
    const at::Tensor w = host.Persistent("w", BufferRole::kWeight, {8, 8, 3, 3}, at::kFloat);
    const auto gradients = at::convolution_backward(x, x, w, at::IntArrayRef{8}, {1, 1}, {1, 1},
                                                    {1, 1}, false, {0, 0}, 1, {false, true, false});
    EXPECT_FALSE(std::get<0>(gradients).defined());
  }));

  EXPECT_FALSE(profile.ops[0].outputs[0].has_value());
  EXPECT_TRUE(profile.ops[0].outputs[1].has_value());
}

TEST(CaptureTrapsTest, MemoryStaysNearThatOfTheLargestOp) {
  constexpr std::int64_t kTensorBytes = 16 << 20;
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  const std::int64_t bytes_before = runtime->ProcessBytes();
  std::int64_t peak_bytes = 0;
  CaptureOptions options;
  options.on_run = [&] {
    peak_bytes = std::max(peak_bytes, runtime->ProcessBytes() - bytes_before);
  };

  const Profile profile =
      CaptureProgram(OnePhase([](ProgramHost& host) {
                       std::vector<at::Tensor> kept = {Input(host, {2048, 2048})};
                       for (int i = 0; i < 64; ++i)
                         kept.push_back(at::add(kept.back(), kept.back(), i));
                     }),
                     *runtime, options);

  std::int64_t total_bytes = 0;
  for (const Buffer& buffer : profile.buffers) total_bytes += buffer.size_bytes;
  EXPECT_EQ(total_bytes, 65 * kTensorBytes);
  EXPECT_GE(peak_bytes, 2 * kTensorBytes);  // One argument and one result,
  EXPECT_LT(peak_bytes, 4 * kTensorBytes);  // and what the process needs besides.
}

}  // namespace
}  // namespace stint
