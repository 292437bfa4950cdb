// Numbers by step as an event file, which TensorBoard shows as curves. The file is a row of records
// (TFRecord, tensorflow/core/lib/io/record_writer.h), all integers little-endian:
//
//     length      uint64   of the data
//     checksum    uint32   of the eight bytes of the length
//     data                 a protobuf Event (tensorflow/core/util/event.proto)
//     checksum    uint32   of the data
//
// A checksum is a CRC-32C, rotated right by 15 bits, plus 0xa282ead8. The first event names the
// format's version; the second says at which step the session starts, upon which TensorBoard
// forgets what older files of the folder have from that step on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string_view>

namespace stint {

struct Scalar {
  std::string_view tag{};  // The name of its curve.
  double value = 0;        // Kept as float32.
};

class TensorBoardFile {
 public:
  /// A new file in `folder`, events.out.tfevents.<seconds>.<nanoseconds>.stint after the clock, so
  /// that names sort by age. The first step to come is `first_step`.
  /// @throws InputError naming the file if it cannot be written, here and below.
  TensorBoardFile(const std::filesystem::path& folder, std::int64_t first_step);

  /// One event, on its way to the disk when this returns.
  void Append(std::int64_t step, std::span<const Scalar> scalars);

 private:
  void Write(std::string_view event);

  std::filesystem::path path_;
  std::ofstream file_{};
};

}  // namespace stint
