// The packing problem: its instances, and the check of each answer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "planner/packing.h"

namespace stint::bench {

/// Offsets, one for each block.
using Packer = std::function<std::vector<std::int64_t>(const std::vector<Block>&)>;

/// Registers `packer` on every instance up to `block_limit` blocks, as Pack/<instance>/<name>. An
/// overlap ends in an error. The counter height_over_load is 1 where no packing can be lower.
bool RegisterPacker(const std::string& name, const Packer& packer, std::size_t block_limit);

}  // namespace stint::bench
