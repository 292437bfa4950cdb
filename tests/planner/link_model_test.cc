#include "planner/link_model.h"

#include <gtest/gtest.h>

namespace stint {
namespace {

CopyTime At(std::int64_t size_bytes, std::int64_t copy_ns) {
  return {
      .size_bytes = size_bytes, .to_host_ns = copy_ns, .to_device_ns = copy_ns, .both_ns = copy_ns};
}

TEST(LinkModelTest, IsEmptyWhereNoCopyWasMeasured) { EXPECT_FALSE(LinkModelOf({}).has_value()); }

TEST(LinkModelTest, FindsTheLineThatTimesWereMadeFrom) {
  // 10 us and 2 bytes a ns: 500 ns for 1,000 bytes, 500,000 ns for a million.
  const auto link = LinkModelOf({.copy_times = {At(1'000, 10'500), At(1'000'000, 510'000)}});
  ASSERT_TRUE(link.has_value());
  EXPECT_EQ(link->to_host_bytes_per_s, 2'000'000'000);
  EXPECT_EQ(link->to_device_bytes_per_s, 2'000'000'000);
  EXPECT_EQ(link->copy_latency_ns, 10'000);
  EXPECT_EQ(ToHostNs(*link, 4'000), 10'000 + 2'000);
}

TEST(LinkModelTest, StaysBelowEveryMeasuredTime) {
  const Device device{.copy_times = {At(4096, 9'000), At(1 << 20, 40'000), At(1 << 24, 400'000),
                                     At(1 << 26, 1'500'000)}};
  const auto link = LinkModelOf(device);
  ASSERT_TRUE(link.has_value());
  for (const CopyTime& time : device.copy_times) {
    EXPECT_LE(ToDeviceNs(*link, time.size_bytes), time.to_device_ns + 1);
  }
}

TEST(LinkModelTest, TakesSlowerTimesOfBothDirectionsAtOnce) {
  const auto link = LinkModelOf({.copy_times = {{.size_bytes = 1'000'000,
                                                 .to_host_ns = 20'000,
                                                 .to_device_ns = 25'000,
                                                 .both_ns = 40'000}}});
  ASSERT_TRUE(link.has_value());
  EXPECT_EQ(link->to_host_bytes_per_s, 50'000'000'000);
  EXPECT_EQ(link->to_device_bytes_per_s, 40'000'000'000);
  EXPECT_EQ(link->both_bytes_per_s, 25'000'000'000);
  EXPECT_EQ(link->copy_latency_ns, 0);
}

}  // namespace
}  // namespace stint
