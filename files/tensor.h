// Tensors as files know them: a name, the type of the numbers, sizes and bytes. No LibTorch, no
// arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stint {

enum class Dtype : std::uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kU16,
  kI16,
  kF16,
  kBf16,
  kU32,
  kI32,
  kF32,
  kU64,
  kI64,
  kF64,
};

/// As .safetensors writes it: "F32", "BF16", "F8_E4M3".
std::string_view SafetensorsName(Dtype dtype);
std::optional<Dtype> DtypeOfSafetensorsName(std::string_view name);
std::int64_t ElementBytes(Dtype dtype);

/// Of one tensor, contiguous in memory, the last size varying fastest.
struct TensorView {
  Dtype dtype{};
  std::vector<std::int64_t> sizes{};  // Empty for a single number.
  std::span<const std::byte> data{};  // Belongs to someone else; perhaps not aligned.
};

struct NamedTensor {
  std::string name{};
  TensorView tensor{};
};

/// Takes the next bytes of a tensor.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// A tensor that is still to be written: its bytes are made piece by piece, when they are needed.
struct TensorSource {
  std::string name{};
  Dtype dtype{};
  std::vector<std::int64_t> sizes{};
  std::function<void(const ByteSink&)> write{};  // Gives ByteCount(dtype, sizes) bytes, in order.
};

/// Product of the sizes; 1 for none. They are not negative and their product fits int64.
std::int64_t ElementCount(std::span<const std::int64_t> sizes);
std::int64_t ByteCount(Dtype dtype, std::span<const std::int64_t> sizes);

/// Gives the bytes of `tensor`, which must outlive the source.
TensorSource SourceOf(std::string name, const TensorView& tensor);

}  // namespace stint
