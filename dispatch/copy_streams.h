// Copies beside the compute: one stream for each direction, and the means by which streams wait for
// each other. What is given to a stream runs in order; an order between streams exists only where
// it was asked for. Refuses to know: plans, what is copied.
//
//     compute      op | Signal(1) |   op     | Await(kToDevice, 1) | op (reads what was fetched)
//     to device         Await(kCompute, 1) | Copy | Signal(1)
//
// Each stream counts the pieces of its work that are done. A wait may be given before the work it
// is for, but not before all streams have been given what comes before it in the plan, or they
// could wait for each other for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ir/stream.h"

namespace stint {

/// The compute stream is the device's own (see DeviceRuntime); the copy streams live as long as
/// this. Calls come from one thread, and on a device with streams of its own return at once.
class CopyStreams {
 public:
  /// Lets all streams run to their end, whatever they still wait for.
  virtual ~CopyStreams() = default;

  /// All counts are 0 again; what the copy streams are given next comes after what compute has
  /// been given so far.
  virtual void Begin() = 0;

  /// What compute is given next comes after all copies.
  virtual void End() = 0;

  virtual void Copy(Stream stream, void* target, const void* source, std::int64_t size_bytes) = 0;
  virtual void Fill(Stream stream, void* device_data, std::uint8_t byte,
                    std::int64_t size_bytes) = 0;

  /// `stream` says that `count` pieces of its work are done; counts ascend.
  virtual void Signal(Stream stream, std::int32_t count) = 0;
  /// `stream` goes on when `other` has said `count` or more.
  virtual void Await(Stream stream, Stream other, std::int32_t count) = 0;
  /// `stream` stands still for a while.
  virtual void Delay(Stream stream, std::int64_t duration_ns) = 0;

  /// Notes the time when `stream` comes here under `mark`, a small number; the newest one counts.
  virtual void Mark(Stream stream, std::size_t mark) = 0;
  /// Nanoseconds from one mark to another, once all work is done.
  virtual std::int64_t TimeBetween(std::size_t begin_mark, std::size_t end_mark) const = 0;
};

/// Copies inside RAM, each direction on a thread of its own; compute is the calling thread, so
/// copies must be given to their streams before compute waits for them.
std::unique_ptr<CopyStreams> MakeCpuCopyStreams();

}  // namespace stint
