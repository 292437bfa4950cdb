#include "benchmarks/packing/packing.h"

namespace stint::bench {
namespace {

/// Greedy orders, then search, as plans are packed.
std::vector<std::int64_t> PackExactly(const std::vector<Block>& blocks) {
  return Pack(blocks).offsets;
}

[[maybe_unused]] const bool kIsRegistered = RegisterPacker("exact", PackExactly, 100'000);

}  // namespace
}  // namespace stint::bench
