// Tiny profiles with names, for tests of every folder. Sizes are multiples of 512 where the answer
// should be arithmetic in a comment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/profile.h"

namespace stint::fixtures {

/// Puts a profile together op by op. Each buffer gets one tensor of bytes over all of it.
class GraphBuilder {
 public:
  /// What an op takes besides its inputs; sizes in the order of its requests.
  struct Requests {
    std::vector<std::int64_t> output_sizes_bytes{};
    std::vector<std::int64_t> workspace_sizes_bytes{};  // After the outputs; die with the op.
  };

  BufferId Persistent(const std::string& name, BufferRole role, std::int64_t size_bytes);

  /// An op that reads `reads` and makes one buffer.
  BufferId Make(const std::string& name, const std::vector<BufferId>& reads,
                std::int64_t size_bytes, std::int64_t duration_ns,
                std::int64_t workspace_bytes = 0);

  /// Any op. @returns the buffers it makes.
  std::vector<BufferId> Run(const std::string& name, const std::vector<BufferId>& reads,
                            const std::vector<BufferId>& writes, const Requests& requests,
                            std::int64_t duration_ns);

  /// Ends a phase with the ops since the one before.
  void EndPhase(const std::string& name, std::int64_t repeat_count = 1);

  /// Another view of a buffer: `size_bytes` bytes of it from `offset_bytes` on.
  TensorId View(BufferId id, std::int64_t size_bytes, std::int64_t offset_bytes);
  TensorId WholeOf(BufferId id) const { return whole_tensors_[Index(id)]; }

  /// Names and roles can be set, and ops changed, before it is validated by Build.
  Profile& profile() { return profile_; }
  Profile Build();

 private:
  BufferId AddBuffer(const Buffer& buffer);

  Profile profile_{};
  std::vector<TensorId> whole_tensors_{};  // By BufferId.
};

///     x 512 --A 1 ns--> a 1024 --B 2 ns, workspace 512--> b 2048 --C 4 ns--> c 512
///
/// x is an input, c the output. Buffers 0..3 are x, a, b, c; ops 0..2 are A, B, C.
Profile Chain();

///     op              buffers
///     0 F0 1 ns       x, w -> a 1024
///     1 F1 2 ns       a    -> b 1024
///     2 F2 4 ns       b    -> c 1024
///     3 L  1 ns       c    -> loss 512 (output)
///     4 G2 4 ns       c, b -> p 1024       workspace 512
///     5 G1 2 ns       p, a -> q 1024
///     6 G0 1 ns       q, x -> g 512        gradient of w
///     7 U  1 ns       g, w -> (w)
///
/// Buffers 0..9 are x 512, w 512, a, b, c, loss, p, q, g. a can be computed again before op 5.
Profile ChainWithBackward();

///     op            values
///     0 A 1 ns      x@0      -> a@0 1024
///     1 add_ 2 ns   a@0, x@0 -> a@1
///     2 B 4 ns      a@1      -> b@0 512
///     3 mul_ 1 ns   s@0, b@0 -> s@1
///     4 C 1 ns      a@1, b@0 -> c@0 512 (output)
///
/// Buffers 0..4 are x 512 (input), s 512 (EMA), a, b, c.
Profile InPlace();

///     first x1     A: x, w -> a     G: a -> g
///     middle x3    A: x, w -> a'    G: a', g -> (g)
///     last x1      A: x, w -> a"    G: a", g -> (g)    U: g, w -> (w)
///
/// Buffers 0..5 are x 512, w 512, a 1024, g 512, a', a". Each op takes 1 ns.
Profile Accumulation();

/// A valid profile of 4 to 40 ops in 1 to 3 phases, with writes in place, ops that make several
/// buffers, views, requests that die inside an op, random ops and empty tensors. The same seed
/// gives the same profile.
Profile RandomProfile(std::uint32_t seed);

/// A chain of `op_count` ops like those of a training step of SDXL: real names, long argument
/// lists, three requests each.
Profile LargeProfile(std::int64_t op_count);

}  // namespace stint::fixtures
