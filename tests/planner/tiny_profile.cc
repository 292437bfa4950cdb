#include "tests/planner/tiny_profile.h"

#include <random>
#include <vector>

#include "tests/support/graphs.h"

namespace stint {

Profile TinyProfile(std::uint32_t seed) {
  std::mt19937 random(seed);
  fixtures::GraphBuilder graph;
  std::vector<BufferId> values{graph.Persistent("w", BufferRole::kWeight, 512)};
  const auto any = [&] { return values[random() % values.size()]; };
  const std::uint64_t op_count = 4 + random() % 5;
  for (std::uint64_t i = 0; i < op_count; ++i) {
    const auto duration_ns = static_cast<std::int64_t>(1 + random() % 9);
    const auto size_bytes = static_cast<std::int64_t>(512 * (1 + random() % 4));
    const std::vector<BufferId> reads{any(), any()};
    if (random() % 6 == 0) {
      graph.Run("test::write_", reads, {any()}, {}, duration_ns);
      continue;
    }
    fixtures::GraphBuilder::Requests requests{.output_sizes_bytes = {size_bytes}};
    if (random() % 4 == 0 && values.size() < 7) {
      requests.output_sizes_bytes.push_back(512);
    }
    if (random() % 4 == 0) {
      requests.workspace_sizes_bytes.push_back(1024);
    }
    for (const BufferId made : graph.Run("test::op", reads, {}, requests, duration_ns)) {
      values.push_back(made);
    }
  }
  graph.profile().buffers[Index(values.back())].role = BufferRole::kOutput;
  graph.EndPhase("step");
  return graph.Build();
}

}  // namespace stint
