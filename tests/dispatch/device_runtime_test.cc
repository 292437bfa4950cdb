#include "dispatch/device_runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "ir/errors.h"

namespace stint {
namespace {

TEST(DeviceRuntimeTest, RefusesNamesOfNoDevice) {
  for (const char* name : {"gpu", "cuda:x", "cuda:", "cudax", "CPU", ""}) {
    EXPECT_THROW(MakeDeviceRuntime(name), InputError) << name;
  }
}

TEST(DeviceRuntimeTest, DescribesTheCpu) {
  const Device device = MakeDeviceRuntime("cpu")->Describe();

  EXPECT_EQ(device.kind, DeviceKind::kCpu);
  EXPECT_FALSE(device.name.empty());
  EXPECT_GT(device.memory_bytes, 1 << 20);
  EXPECT_EQ(device.thread_count, at::get_num_threads());
  EXPECT_EQ(device.overhead_bytes, 0);
}

TEST(DeviceRuntimeTest, AllocatesAlignedMemory) {
  const auto runtime = MakeDeviceRuntime("cpu");
  void* data = runtime->Allocate(1000);

  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 512, 0U);
  runtime->Free(data);
}

TEST(DeviceRuntimeTest, SaysThatMemoryIsShort) {
  EXPECT_THROW(MakeDeviceRuntime("cpu")->Allocate(std::int64_t{1} << 60), InputError);
}

TEST(DeviceRuntimeTest, FillsWithRandomNumbersFromZeroToOne) {
  const auto runtime = MakeDeviceRuntime("cpu");
  for (const auto& [name, dtype] :
       {std::pair("float32", at::kFloat), std::pair("float64", at::kDouble),
        std::pair("float16", at::kHalf), std::pair("bfloat16", at::kBFloat16)}) {
    const at::Tensor tensor = at::full({10000}, -1, dtype);
    runtime->FillRandom(tensor.mutable_data_ptr(), name, static_cast<std::int64_t>(tensor.nbytes()),
                        /*seed=*/7);
    const at::Tensor values = tensor.to(at::kDouble);
    EXPECT_GE(values.min().item<double>(), 0) << name;
    EXPECT_LT(values.max().item<double>(), 1) << name;
    EXPECT_NEAR(values.mean().item<double>(), 0.5, 0.02) << name;
    EXPECT_NEAR(values.var().item<double>(), 1.0 / 12, 0.01) << name;
  }
}

TEST(DeviceRuntimeTest, FillsOtherTypesWithZeros) {
  const at::Tensor tensor = at::ones({100}, at::kLong);
  MakeDeviceRuntime("cpu")->FillRandom(tensor.mutable_data_ptr(), "int64", 800, /*seed=*/7);
  EXPECT_EQ(tensor.count_nonzero().item<std::int64_t>(), 0);
}

TEST(DeviceRuntimeTest, RandomFillDependsOnTheSeedOnly) {
  const auto runtime = MakeDeviceRuntime("cpu");
  std::vector<float> first(200000);
  std::vector<float> second(200000);
  runtime->FillRandom(first.data(), "float32", 800000, /*seed=*/1);
  runtime->FillRandom(second.data(), "float32", 800000, /*seed=*/1);
  EXPECT_EQ(first, second);
  runtime->FillRandom(second.data(), "float32", 800000, /*seed=*/2);
  EXPECT_NE(first, second);
}

TEST(DeviceRuntimeTest, TimesWhatIsIssued) {
  const auto runtime = MakeDeviceRuntime("cpu");
  int count = 0;
  EXPECT_GE(runtime->TimeOnce([&] { ++count; }), 0);
  EXPECT_EQ(count, 1);
}

TEST(DeviceRuntimeTest, SeesTheMemoryOfTheProcess) {
  EXPECT_GT(MakeDeviceRuntime("cpu")->ProcessBytes(), 1 << 20);
}

TEST(DeviceRuntimeTest, ChoosesDeterministicKernels) {
  const auto runtime = MakeDeviceRuntime("cpu");
  runtime->SetDeterministic(true);
  EXPECT_TRUE(at::globalContext().deterministicAlgorithms());
  EXPECT_FALSE(at::globalContext().benchmarkCuDNN());
  runtime->SetDeterministic(false);
  EXPECT_FALSE(at::globalContext().deterministicAlgorithms());
}

}  // namespace
}  // namespace stint
