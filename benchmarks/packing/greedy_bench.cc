#include "benchmarks/packing/packing.h"

namespace stint::bench {
namespace {

std::vector<std::int64_t> PackGreedily(const std::vector<Block>& blocks) {
  return Pack(blocks, {.step_limit = 0}).offsets;
}

[[maybe_unused]] const bool kIsRegistered = RegisterPacker("greedy", PackGreedily, 100'000);

}  // namespace
}  // namespace stint::bench
