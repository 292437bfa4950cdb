// Sizes and times as people write them. Everything inside Stint is int64 bytes and nanoseconds;
// words like "8GiB" exist only at the edges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stint {

/// Every arena offset is a multiple of this: kernels choose their code path by the alignment of
/// their pointers, and PyTorch's own CUDA allocator gives 512 bytes.
inline constexpr std::int64_t kAlignmentBytes = 512;

/// The smallest multiple of kAlignmentBytes that is >= size_bytes; 0 for 0.
constexpr std::int64_t AlignUp(std::int64_t size_bytes) {
  return (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
}

/// Reads "8GiB", "512 MiB", "1.5GiB", "100KiB" or "4096B".
/// @throws InputError (naming `where`) without one of these suffixes, for a negative number, for
/// "GB" and its like (ambiguous), and above 2^60 bytes.
std::int64_t ParseBytes(std::string_view text, const std::string& where);

/// "7.93 GiB", "12.0 MiB", "312 B": three significant digits, for people only.
std::string FormatBytes(std::int64_t size_bytes);

/// "51.2 ms", "3.10 s", "840 ns": three significant digits, for people only.
std::string FormatDuration(std::int64_t duration_ns);

}  // namespace stint
