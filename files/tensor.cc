#include "files/tensor.h"

#include <array>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

struct DtypeRow {
  Dtype dtype{};
  std::string_view name{};
  std::int64_t element_bytes = 0;
};

constexpr std::array<DtypeRow, 15> kDtypes = {{{Dtype::kBool, "BOOL", 1},
                                               {Dtype::kU8, "U8", 1},
                                               {Dtype::kI8, "I8", 1},
                                               {Dtype::kF8E4M3, "F8_E4M3", 1},
                                               {Dtype::kF8E5M2, "F8_E5M2", 1},
                                               {Dtype::kU16, "U16", 2},
                                               {Dtype::kI16, "I16", 2},
                                               {Dtype::kF16, "F16", 2},
                                               {Dtype::kBf16, "BF16", 2},
                                               {Dtype::kU32, "U32", 4},
                                               {Dtype::kI32, "I32", 4},
                                               {Dtype::kF32, "F32", 4},
                                               {Dtype::kU64, "U64", 8},
                                               {Dtype::kI64, "I64", 8},
                                               {Dtype::kF64, "F64", 8}}};

const DtypeRow& RowOf(Dtype dtype) {
  const DtypeRow& row = kDtypes.at(static_cast<std::size_t>(dtype));
  Check(row.dtype == dtype, "the rows are in the order of the enumeration");
  return row;
}

}  // namespace

std::string_view SafetensorsName(Dtype dtype) { return RowOf(dtype).name; }

std::optional<Dtype> DtypeOfSafetensorsName(std::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::int64_t ElementBytes(Dtype dtype) { return RowOf(dtype).element_bytes; }

std::int64_t ElementCount(std::span<const std::int64_t> sizes) {
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) count *= size;
  return count;
}

std::int64_t ByteCount(Dtype dtype, std::span<const std::int64_t> sizes) {
  return ElementBytes(dtype) * ElementCount(sizes);
}

TensorSource SourceOf(std::string name, const TensorView& tensor) {
  return {.name = std::move(name),
          .dtype = tensor.dtype,
          .sizes = tensor.sizes,
          .write = [data = tensor.data](const ByteSink& sink) { sink(data); }};
}

}  // namespace stint
