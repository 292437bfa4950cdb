#include "profiler/timing.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr int kGraphRepeatCount = 10;
constexpr int kGraphLaunchCount = 5;
constexpr std::size_t kCallCountMin = 3;
constexpr std::size_t kCallCountMax = 20;
constexpr std::int64_t kCallsLimit_ns = 200'000'000;

OpTiming TimeGraph(DeviceRuntime& runtime, DeviceGraph& graph) {
  graph.Launch();
  runtime.Synchronize();
  std::vector<std::int64_t> samples_ns;
  for (int i = 0; i < kGraphLaunchCount; ++i) {
    samples_ns.push_back(runtime.TimeOnce([&graph] { graph.Launch(); }) / kGraphRepeatCount);
  }
  return Summarize(std::move(samples_ns));
}

OpTiming TimeCalls(DeviceRuntime& runtime, const std::function<void()>& issue) {
  std::vector<std::int64_t> samples_ns;
  std::int64_t total_ns = 0;
  while (samples_ns.size() < kCallCountMin ||
         (samples_ns.size() < kCallCountMax && total_ns < kCallsLimit_ns)) {
    samples_ns.push_back(runtime.TimeOnce(issue));
    total_ns += samples_ns.back();
  }
  return Summarize(std::move(samples_ns));
}

}  // namespace

OpTiming Summarize(std::vector<std::int64_t> samples_ns) {
  Check(!samples_ns.empty(), "a timing needs samples");
  std::sort(samples_ns.begin(), samples_ns.end());
  const std::size_t count = samples_ns.size();
  const std::int64_t median_ns = std::midpoint(samples_ns[(count - 1) / 2], samples_ns[count / 2]);
  const std::int64_t first_quartile_ns = samples_ns[(count - 1) / 4];
  const std::int64_t third_quartile_ns = samples_ns[count - 1 - (count - 1) / 4];
  return {.duration_ns = median_ns, .spread_ns = (third_quartile_ns - first_quartile_ns) / 2};
}

OpTiming TimeOp(DeviceRuntime& runtime, const std::function<void()>& issue) {
  const std::unique_ptr<DeviceGraph> graph = runtime.CaptureGraph([&issue] {
    for (int i = 0; i < kGraphRepeatCount; ++i) issue();
  });
  return graph != nullptr ? TimeGraph(runtime, *graph) : TimeCalls(runtime, issue);
}

}  // namespace stint
