#include <array>
#include <bit>
#include <utility>

#include "files/pickle.h"
#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::array<std::pair<Dtype, std::string_view>, 10> kStorageNames = {
    {{Dtype::kBool, "BoolStorage"},
     {Dtype::kU8, "ByteStorage"},
     {Dtype::kI8, "CharStorage"},
     {Dtype::kI16, "ShortStorage"},
     {Dtype::kF16, "HalfStorage"},
     {Dtype::kBf16, "BFloat16Storage"},
     {Dtype::kI32, "IntStorage"},
     {Dtype::kF32, "FloatStorage"},
     {Dtype::kI64, "LongStorage"},
     {Dtype::kF64, "DoubleStorage"}}};

class PickleWriter {
 public:
  Pickle Write(const PthValue& root) {
    Raw("\x80\x02");
    Put(root);
    Raw(".");
    return std::move(pickle_);
  }

 private:
  void Raw(std::string_view bytes) { pickle_.text += bytes; }
  void LittleEndian(std::uint64_t number, int byte_count) {
    for (int i = 0; i < byte_count; ++i) {
      pickle_.text += static_cast<char>(number >> (8 * i) & 0xff);
    }
  }

  void Put(const PthValue& value) {
    std::visit([this](const auto& one) { PutOne(one); }, value.value);
  }
  void PutOne(std::monostate) { Raw("N"); }
  void PutOne(bool value) { Raw(value ? "\x88" : "\x89"); }
  void PutOne(std::int64_t value) {
    if (value >= 0 && value < 256) {
      Raw("K");
      LittleEndian(static_cast<std::uint64_t>(value), 1);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      Raw("J");
      LittleEndian(static_cast<std::uint64_t>(value), 4);
    } else {
      Raw("\x8a\x08");  // An integer of any length; here of 8 bytes.
      LittleEndian(static_cast<std::uint64_t>(value), 8);
    }
  }
  void PutOne(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    Raw("G");
    for (int shift = 56; shift >= 0; shift -= 8) {
      pickle_.text += static_cast<char>(bits >> shift & 0xff);
    }
  }
  void PutOne(const std::string& value) {
    Raw("X");
    LittleEndian(value.size(), 4);
    Raw(value);
  }
  void PutOne(const PthList& list) {
    Raw("](");
    for (const PthValue& element : list) Put(element);
    Raw("e");
  }
  void PutOne(const PthTuple& tuple) {
    Raw("(");
    for (const PthValue& element : tuple.elements) Put(element);
    Raw("t");
  }
  void PutOne(const PthDict& dict) {
    Raw("}(");
    for (const PthItem& item : dict) {
      Put(item.key);
      Put(item.value);
    }
    Raw("u");
  }

  /// torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks)
  void PutOne(const TensorView& tensor) {
    Check(IsPthDtype(tensor.dtype), "the dtypes of a .pth file are known before it is written");
    std::vector<std::int64_t> strides(tensor.sizes.size());
    std::int64_t stride = 1;
    for (std::size_t i = tensor.sizes.size(); i-- > 0;) {
      strides[i] = std::exchange(stride, stride * tensor.sizes[i]);
    }
    Raw("ctorch._utils\n_rebuild_tensor_v2\n((");
    PutOne(std::string("storage"));
    Raw("ctorch\n");
    Raw(StorageName(tensor.dtype));
    Raw("\n");
    PutOne(std::to_string(pickle_.storages.size()));
    PutOne(std::string("cpu"));
    PutOne(ElementCount(tensor.sizes));
    Raw("tQ");
    PutOne(std::int64_t{0});
    PutCounts(tensor.sizes);
    PutCounts(strides);
    PutOne(false);
    Raw("ccollections\nOrderedDict\n)RtR");
    pickle_.storages.push_back(tensor.data);
  }
  void PutCounts(const std::vector<std::int64_t>& counts) {
    Raw("(");
    for (const std::int64_t count : counts) PutOne(count);
    Raw("t");
  }

  Pickle pickle_{};
};

}  // namespace

std::string_view StorageName(Dtype dtype) {
  for (const auto& [known, name] : kStorageNames) {
    if (known == dtype) return name;
  }
  return {};
}

bool IsPthDtype(Dtype dtype) { return !StorageName(dtype).empty(); }

Pickle MakePickle(const PthValue& root) { return PickleWriter().Write(root); }

}  // namespace stint
