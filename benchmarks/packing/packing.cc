#include "benchmarks/packing/packing.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "benchmarks/instances.h"
#include "ir/file.h"
#include "planner/packing_csv.h"

namespace stint::bench {
namespace {

struct Instance {
  std::string name{};
  std::vector<Block> blocks{};
};

/// The lives of a training step: values of the forward pass stay until their mirror image in the
/// backward pass, or die at once.
std::vector<Block> TrainingTrace(std::uint32_t seed, std::int32_t op_count) {
  std::mt19937 random(seed);
  std::vector<Block> blocks{};
  const std::int32_t end = 2 * op_count;
  for (std::int32_t op = 0; op < op_count; ++op) {
    const auto size_bytes = 512 * static_cast<std::int64_t>(1 + random() % 2000);
    const bool is_saved = random() % 100 < 45;
    const std::int32_t last =
        is_saved ? end - op : op + 2 + static_cast<std::int32_t>(random() % 3);
    blocks.push_back({.size_bytes = size_bytes, .begin = op, .end = last});
    blocks.push_back({.size_bytes = 512 * static_cast<std::int64_t>(1 + random() % 2000),
                      .begin = end - op - 1,
                      .end = end - op + 1});
  }
  return blocks;
}

/// A full rectangle cut into blocks, which leaves a packer no room to waste.
std::vector<Block> CutColumns(std::uint32_t seed, std::int32_t column_count) {
  std::mt19937 random(seed);
  std::vector<Block> blocks{};
  for (std::int32_t column = 0; column < column_count; ++column) {
    std::int64_t left = 4096;
    while (left > 0) {
      const std::int64_t size =
          std::min<std::int64_t>(left, 64 + static_cast<std::int64_t>(random() % 1024));
      const std::int32_t begin = 3 * column;
      blocks.push_back({.size_bytes = 512 * size, .begin = begin, .end = begin + 3});
      left -= size;
    }
  }
  return blocks;
}

std::vector<Instance> LoadInstances() {
  std::vector<Instance> instances{};
  for (const std::int32_t op_count : {250, 1000, 4000}) {
    instances.push_back(
        {.name = fmt::format("trace_{}", op_count), .blocks = TrainingTrace(1, op_count)});
  }
  instances.push_back({.name = "columns_60", .blocks = CutColumns(1, 60)});
  for (const std::filesystem::path& path : UserInstances("minimalloc", ".csv")) {
    instances.push_back({.name = path.stem().string(),
                         .blocks = BlocksOf(ParsePackingCsv(ReadText(path), path.string()))});
  }
  return instances;
}

/// Whether two blocks meet in space and time: a sweep over births, which knows no packer.
bool HasOverlap(const std::vector<Block>& blocks, const std::vector<std::int64_t>& offsets) {
  std::vector<std::size_t> by_birth(blocks.size());
  for (std::size_t i = 0; i < by_birth.size(); ++i) by_birth[i] = i;
  std::ranges::sort(by_birth, {}, [&](std::size_t i) { return blocks[i].begin; });
  std::vector<std::size_t> alive{};
  for (const std::size_t i : by_birth) {
    std::erase_if(alive, [&](std::size_t j) { return blocks[j].end <= blocks[i].begin; });
    for (const std::size_t j : alive) {
      if (offsets[i] < offsets[j] + blocks[j].size_bytes &&
          offsets[j] < offsets[i] + blocks[i].size_bytes) {
        return true;
      }
    }
    alive.push_back(i);
  }
  return false;
}

void Run(benchmark::State& state, const Instance& instance, const Packer& packer) {
  const std::vector<std::int64_t> checked = packer(instance.blocks);
  if (HasOverlap(instance.blocks, checked)) {
    state.SkipWithError("wrong: blocks overlap");
    return;
  }
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(packer(instance.blocks));
  }
  std::int64_t height_bytes = 0;
  for (std::size_t i = 0; i < checked.size(); ++i) {
    height_bytes = std::max(height_bytes, checked[i] + instance.blocks[i].size_bytes);
  }
  const std::int64_t load_bytes = Pack(instance.blocks, {.step_limit = 0}).load_bytes;
  state.counters["height_over_load"] =
      static_cast<double>(height_bytes) / static_cast<double>(load_bytes);
}

}  // namespace

bool RegisterPacker(const std::string& name, const Packer& packer, std::size_t block_limit) {
  static const std::vector<Instance> instances = LoadInstances();
  for (const Instance& instance : instances) {
    if (instance.blocks.size() <= block_limit) {
      benchmark::RegisterBenchmark(
          fmt::format("Pack/{}/{}", instance.name, name).c_str(),
          [&instance, packer](benchmark::State& state) { Run(state, instance, packer); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  return true;
}

}  // namespace stint::bench
