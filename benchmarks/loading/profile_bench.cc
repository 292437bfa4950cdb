// From the text of a profile to the noun, and how much of that is JSON itself.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string>

#include "benchmarks/instances.h"
#include "ir/file.h"

namespace stint::bench {
namespace {

const std::string& ShippedText() {
  static const std::string text = ReadText(ShippedProfilePath());
  return text;
}

void CountBytes(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(ShippedText().size()));
}

void Gunzip(benchmark::State& state) {
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(ReadText(ShippedProfilePath()));
  }
  CountBytes(state);
}
BENCHMARK(Gunzip)->Unit(benchmark::kMillisecond);

void Load(benchmark::State& state) {
  if (ReadProfile(ShippedProfilePath()).ops.empty()) {
    state.SkipWithError("wrong: the profile is empty");
  }
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(ReadProfile(ShippedProfilePath()));
  }
  CountBytes(state);
}
BENCHMARK(Load)->Unit(benchmark::kMillisecond);

void PlainParse(benchmark::State& state) {
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(nlohmann::json::parse(ShippedText()));
  }
  CountBytes(state);
}
BENCHMARK(PlainParse)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace stint::bench
