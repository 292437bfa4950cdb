// What the CPU's copy streams promise; CUDA's are tested beside a graph in
// tests/executor/cuda_test.cc.
#include "dispatch/copy_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "dispatch/host_memory.h"
#include "ir/errors.h"

namespace stint {
namespace {

using testing::Each;

TEST(CopyStreamsTest, ACopyStartsWhenComputeSaysSo) {
  const auto streams = MakeCpuCopyStreams();
  std::array<unsigned char, 1000> from{};
  std::array<unsigned char, 1000> to{};
  streams->Begin();
  streams->Await(Stream::kToHost, Stream::kCompute, 1);
  streams->Copy(Stream::kToHost, to.data(), from.data(), 1000);
  from.fill(7);
  streams->Signal(Stream::kCompute, 1);
  streams->End();
  EXPECT_THAT(to, Each(7));
}

TEST(CopyStreamsTest, ComputeAndTheOtherCopiesWaitForADelayedOne) {
  const auto streams = MakeCpuCopyStreams();
  std::array<unsigned char, 1000> from{};
  std::array<unsigned char, 1000> between{};
  std::array<unsigned char, 1000> to{};
  from.fill(7);
  streams->Begin();
  streams->Delay(Stream::kToHost, 2'000'000);
  streams->Copy(Stream::kToHost, between.data(), from.data(), 1000);
  streams->Fill(Stream::kToHost, from.data(), 0xff, 1000);
  streams->Signal(Stream::kToHost, 1);
  streams->Await(Stream::kToDevice, Stream::kToHost, 1);
  streams->Copy(Stream::kToDevice, to.data(), between.data(), 1000);
  streams->Signal(Stream::kToDevice, 1);
  streams->Mark(Stream::kCompute, 0);
  streams->Await(Stream::kCompute, Stream::kToDevice, 1);
  streams->Mark(Stream::kCompute, 1);
  EXPECT_THAT(to, Each(7));
  EXPECT_THAT(from, Each(0xff));
  streams->End();
  EXPECT_GT(streams->TimeBetween(0, 1), 1'000'000);
}

TEST(CopyStreamsTest, CountsBeginAnew) {
  const auto streams = MakeCpuCopyStreams();
  std::array<unsigned char, 8> from{};
  std::array<unsigned char, 8> to{};
  for (unsigned char i = 1; i < 50; ++i) {
    streams->Begin();
    streams->Await(Stream::kToDevice, Stream::kCompute, 1);
    streams->Copy(Stream::kToDevice, to.data(), from.data(), 8);
    streams->Signal(Stream::kToDevice, 1);
    from.fill(i);
    streams->Signal(Stream::kCompute, 1);
    streams->Await(Stream::kCompute, Stream::kToDevice, 1);
    EXPECT_THAT(to, Each(i));
    streams->End();
  }
}

TEST(CopyStreamsTest, EndEvenIfTheyWaitForWhatNeverComes) {
  const auto streams = MakeCpuCopyStreams();
  streams->Begin();
  streams->Await(Stream::kToHost, Stream::kCompute, 1);
  streams->Await(Stream::kToDevice, Stream::kToHost, 1);
}

TEST(HostMemoryTest, RefusesMoreThanThereIs) {
  EXPECT_GT(AvailableHostBytes(), 1 << 20);
  CheckHostHas(1);
  EXPECT_THROW(CheckHostHas(std::int64_t{1} << 60), InputError);
}

}  // namespace
}  // namespace stint
