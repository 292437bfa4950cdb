#include "executor/copy_waits.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

/// How many pieces of each stream are known to be done at some point.
using Counts = std::array<std::int32_t, kStreamCount>;

std::size_t Slot(Stream stream) { return static_cast<std::size_t>(stream); }

/// One piece of work of a stream.
struct Piece {
  std::size_t instruction = 0;
  Counts done{};  // When it is done, itself included.
};

/// A copy that compute does not know to be over, and the range of the arena it uses.
struct CopyInFlight {
  std::int64_t begin_bytes = 0;
  std::int64_t end_bytes = 0;
  Stream stream{};
  std::int32_t count = 0;
};

class Walk {
 public:
  Walk(const Profile& profile, const Plan& plan)
      : profile_(profile),
        plan_(plan),
        effects_(DeriveEffects(profile)),
        offsets_(profile.buffers.size()),
        fetches_(profile.buffers.size()),
        offloads_(profile.buffers.size()) {}

  std::vector<PartWaits> Run() {
    for (const Placement& placement : plan_.initial) {
      offsets_[Index(placement.buffer)] = placement.offset_bytes;
    }
    std::vector<PartWaits> parts;
    for (const PhasePlan& phase : plan_.phases) {
      for (const auto* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
        parts.push_back(RunPart(*part));
      }
    }
    return parts;
  }

 private:
  PartWaits RunPart(const std::vector<Instruction>& instructions) {
    for (std::vector<Piece>& pieces : pieces_) pieces.clear();
    known_ = {};
    in_flight_.clear();
    std::ranges::fill(fetches_, 0);
    std::ranges::fill(offloads_, 0);
    PartWaits part;
    part.instructions.resize(instructions.size());
    part_ = &part;
    for (index_ = 0; index_ < instructions.size(); ++index_) RunInstruction(instructions[index_]);
    part_ = nullptr;
    return part;
  }

  void RunInstruction(const Instruction& instruction) {
    needed_ = {};
    switch (instruction.kind) {
      case InstructionKind::kCompute:
        return Compute(instruction);
      case InstructionKind::kFree:
      case InstructionKind::kDrop:
        return Leave(instruction);
      case InstructionKind::kOffload:
        return Offload(instruction);
      case InstructionKind::kFetch:
        return Fetch(instruction);
    }
  }

  void Compute(const Instruction& compute) {
    for (const Value& value : effects_[Index(compute.op)].reads) {
      Need(Stream::kToDevice, fetches_[Index(value.buffer)]);
    }
    const std::vector<Request>& requests = profile_.ops[Index(compute.op)].requests;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const std::int64_t offset_bytes = compute.request_offsets[i];
      NeedCopiesIn(offset_bytes, offset_bytes + AlignUp(requests[i].size_bytes));
      const auto& buffer = requests[i].buffer;
      if (buffer && !std::ranges::binary_search(compute.discards, *buffer)) {
        offsets_[Index(*buffer)] = offset_bytes;
      }
    }
    Add(Stream::kCompute);
  }

  void Leave(const Instruction& instruction) {
    const std::int64_t begin_bytes = PlaceOf(instruction);
    NeedCopiesIn(begin_bytes, begin_bytes + SizeOf(instruction));
    Add(Stream::kCompute);
  }

  void Offload(const Instruction& offload) {
    Need(Stream::kCompute, CountOf(Stream::kCompute));
    for (const BufferId buffer : Moved(offload)) Need(Stream::kToDevice, fetches_[Index(buffer)]);
    AddCopy(offload, Stream::kToHost, PlaceOf(offload));
    for (const BufferId buffer : Moved(offload))
      offloads_[Index(buffer)] = CountOf(Stream::kToHost);
  }

  void Fetch(const Instruction& fetch) {
    Need(Stream::kCompute, CountOf(Stream::kCompute));
    for (const BufferId buffer : Moved(fetch)) Need(Stream::kToHost, offloads_[Index(buffer)]);
    NeedCopiesIn(fetch.offset_bytes, fetch.offset_bytes + SizeOf(fetch));
    AddCopy(fetch, Stream::kToDevice, fetch.offset_bytes);
    if (!fetch.shard) offsets_[Index(*fetch.buffer)] = fetch.offset_bytes;
    for (const BufferId buffer : Moved(fetch)) fetches_[Index(buffer)] = CountOf(Stream::kToDevice);
    if (!fetch.shard) return;
    for (const Placement& member : plan_.shards[Index(*fetch.shard)].members) {
      offsets_[Index(member.buffer)] = fetch.offset_bytes + member.offset_bytes;
    }
  }

  // -- Needs -------------------------------------------------------------------------------------

  void Need(Stream stream, std::int32_t count) {
    needed_[Slot(stream)] = std::max(needed_[Slot(stream)], count);
  }

  void NeedCopiesIn(std::int64_t begin_bytes, std::int64_t end_bytes) {
    for (const CopyInFlight& copy : in_flight_) {
      if (copy.begin_bytes < end_bytes && begin_bytes < copy.end_bytes) {
        Need(copy.stream, copy.count);
      }
    }
  }

  const Piece& PieceAt(Stream stream, std::int32_t count) const {
    return pieces_[Slot(stream)][static_cast<std::size_t>(count) - 1];
  }

  /// Whether what is needed of `stream` is done when what is needed of another one is.
  bool IsImplied(Stream stream, const std::vector<Stream>& awaited) const {
    return std::ranges::any_of(awaited, [&](Stream other) {
      return other != stream &&
             PieceAt(other, needed_[Slot(other)]).done[Slot(stream)] >= needed_[Slot(stream)];
    });
  }

  /// The instruction at hand is the next piece of `stream`, after what it needs.
  void Add(Stream stream) {
    InstructionWaits& waits = part_->instructions[index_];
    Counts& known = known_[Slot(stream)];
    std::vector<Stream> awaited;
    for (const Stream other : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
      if (other != stream && needed_[Slot(other)] > known[Slot(other)]) awaited.push_back(other);
    }
    for (const Stream other : awaited) {
      if (IsImplied(other, awaited)) continue;
      const std::int32_t count = needed_[Slot(other)];
      const Piece& piece = PieceAt(other, count);
      waits.waits.push_back({.stream = other, .count = count, .instruction = piece.instruction});
      part_->instructions[piece.instruction].is_awaited = true;
    }
    for (const Stream other : awaited) {
      const Counts& done = PieceAt(other, needed_[Slot(other)]).done;
      for (std::size_t i = 0; i < kStreamCount; ++i) known[i] = std::max(known[i], done[i]);
    }
    waits.stream = stream;
    waits.count = CountOf(stream) + 1;
    known[Slot(stream)] = waits.count;
    pieces_[Slot(stream)].push_back({.instruction = index_, .done = known});
    if (stream != Stream::kCompute || waits.waits.empty()) return;
    // Every later copy comes after this piece of compute, and so after what it waited for.
    std::erase_if(in_flight_,
                  [&](const CopyInFlight& copy) { return copy.count <= known[Slot(copy.stream)]; });
  }

  void AddCopy(const Instruction& copy, Stream stream, std::int64_t offset_bytes) {
    Add(stream);
    part_->has_copies = true;
    part_->instructions[index_].offset_bytes = offset_bytes;
    in_flight_.push_back({.begin_bytes = offset_bytes,
                          .end_bytes = offset_bytes + SizeOf(copy),
                          .stream = stream,
                          .count = CountOf(stream)});
  }

  // -- What an instruction is about --------------------------------------------------------------

  std::int32_t CountOf(Stream stream) const {
    return static_cast<std::int32_t>(pieces_[Slot(stream)].size());
  }

  std::vector<BufferId> Moved(const Instruction& instruction) const {
    if (!instruction.shard) return {*instruction.buffer};
    std::vector<BufferId> moved;
    for (const Placement& member : plan_.shards[Index(*instruction.shard)].members) {
      moved.push_back(member.buffer);
    }
    return moved;
  }

  std::int64_t SizeOf(const Instruction& instruction) const {
    return AlignUp(instruction.shard ? plan_.shards[Index(*instruction.shard)].size_bytes
                                     : profile_.buffers[Index(*instruction.buffer)].size_bytes);
  }

  /// Where the resident buffer or shard of `instruction` begins.
  std::int64_t PlaceOf(const Instruction& instruction) const {
    if (!instruction.shard) return offsets_[Index(*instruction.buffer)];
    const Placement& first = plan_.shards[Index(*instruction.shard)].members.front();
    return offsets_[Index(first.buffer)] - first.offset_bytes;
  }

  const Profile& profile_;
  const Plan& plan_;
  const std::vector<OpEffects> effects_;
  std::vector<std::int64_t> offsets_;  // By buffer: of its newest residence.

  // Of the part at hand.
  PartWaits* part_ = nullptr;
  std::size_t index_ = 0;                                // Of the instruction at hand.
  Counts needed_{};                                      // By it.
  std::array<std::vector<Piece>, kStreamCount> pieces_;  // By stream.
  std::array<Counts, kStreamCount> known_{};             // By stream: after its newest piece.
  std::vector<CopyInFlight> in_flight_{};
  std::vector<std::int32_t> fetches_;   // By buffer: count of its newest fetch, 0: none.
  std::vector<std::int32_t> offloads_;  // The same of offloads.
};

}  // namespace

std::vector<PartWaits> DeriveWaits(const Profile& profile, const Plan& plan) {
  return Walk(profile, plan).Run();
}

}  // namespace stint
