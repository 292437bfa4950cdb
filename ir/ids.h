// Ids of the nouns. Each indexes one vector of the Profile or Plan that holds it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stint {

enum class BufferId : std::int32_t {};  // Index into Profile::buffers.
enum class TensorId : std::int32_t {};  // Index into Profile::tensors.
enum class OpId : std::int32_t {};      // Index into Profile::ops.
enum class PhaseId : std::int32_t {};   // Index into Profile::phases and Plan::phases.
enum class ShardId : std::int32_t {};   // Index into Plan::shards.

/// The only cast from an id to a vector index.
template <typename Id>
constexpr std::size_t Index(Id id) {
  return static_cast<std::size_t>(id);
}

}  // namespace stint
