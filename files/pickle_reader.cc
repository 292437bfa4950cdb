#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "files/pickle.h"
#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

constexpr int kMaxDepth = 32;                       // Of values in values.
constexpr std::int64_t kMaxCopiedBytes = 64 << 20;  // Of texts that are used again.
constexpr std::size_t kMaxStackSize = 5'000'000;
constexpr std::uint64_t kMaxDimensions = 64;  // As PyTorch.

/// What a pickle may name. Naming anything else ends the reading.
enum class Global : std::uint8_t {
  kRebuildTensor,
  kRebuildParameter,
  kOrderedDict,
  kStorageType,
};
struct NamedGlobal {
  Global kind{};
  Dtype dtype{};  // Of a kStorageType.
};
struct Mark {};
/// A container was put aside before it was filled. Taking it back would make one container two.
struct PutAside {};

/// One place of the machine's stack.
struct Item {
  std::variant<Mark, PthValue, NamedGlobal, PickledStorage, PutAside> content{};
  int depth = 0;  // Of values in it.
};

std::optional<NamedGlobal> FindGlobal(std::string_view module, std::string_view name) {
  if (module == "torch._utils" && name == "_rebuild_tensor_v2") return {{Global::kRebuildTensor}};
  if (module == "torch._utils" && name == "_rebuild_parameter") {
    return {{Global::kRebuildParameter}};
  }
  if (module == "collections" && name == "OrderedDict") return {{Global::kOrderedDict}};
  if (module == "torch") {
    for (int i = 0; i <= static_cast<int>(Dtype::kF64); ++i) {
      const auto dtype = static_cast<Dtype>(i);
      if (StorageName(dtype) == name) return {{Global::kStorageType, dtype}};
    }
  }
  return std::nullopt;
}

class Machine {
 public:
  Machine(std::string_view text, const FindStorage& find_storage, const std::string& where)
      : text_(text), find_storage_(find_storage), where_(where) {}

  PthValue Run() {
    while (true) {
      const char code = Take(1)[0];
      if (code == '.') break;
      Step(code);
      if (stack_.size() > kMaxStackSize) Fail("is a pickle of too many values");
    }
    if (stack_.size() != 1) Fail("ends with more or less than one value");
    return Pop<PthValue>("a value");
  }

 private:
  [[noreturn]] void Fail(const std::string& fact) const {
    throw InputError(fmt::format("{}:byte {}", where_, at_), fact);
  }

  // ---- The text.
  std::string_view Take(std::uint64_t byte_count) {
    if (byte_count > text_.size() - at_) Fail("is cut off");
    return text_.substr(std::exchange(at_, at_ + byte_count), byte_count);
  }
  std::uint64_t Number(int byte_count) {
    const std::string_view bytes = Take(static_cast<std::uint64_t>(byte_count));
    std::uint64_t number = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
      number = number << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return number;
  }
  std::string_view Line() {
    const std::size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) Fail("is cut off");
    const std::string_view line = Take(end - at_);
    Take(1);
    return line;
  }
  std::int64_t LongInteger() {
    const auto byte_count = static_cast<int>(Number(1));
    if (byte_count > 8) Fail("holds an integer of more than 64 bits");
    if (byte_count == 0) return 0;
    const std::uint64_t number = Number(byte_count);
    const int shift = 64 - 8 * byte_count;  // Moves the sign to the top and back.
    return static_cast<std::int64_t>(number << shift) >> shift;
  }
  double Float() {
    std::uint64_t bits = 0;
    for (const char byte : Take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
    return std::bit_cast<double>(bits);
  }

  // ---- The stack.
  template <typename T>
  void Push(T value) {
    stack_.push_back({.content = PthValue{std::move(value)}});
  }
  Item PopItem() {
    if (stack_.empty()) Fail("takes a value that is not there");
    Item item = std::move(stack_.back());
    stack_.pop_back();
    return item;
  }
  template <typename T>
  T As(Item item, std::string_view what) const {
    if (auto* content = std::get_if<T>(&item.content)) return std::move(*content);
    Fail(fmt::format("has something else where {} is expected", what));
  }
  template <typename T>
  T Pop(std::string_view what) {
    return As<T>(PopItem(), what);
  }
  std::vector<Item> PopToMark() {
    std::size_t mark = stack_.size();
    while (mark > 0 && !std::holds_alternative<Mark>(stack_[mark - 1].content)) --mark;
    if (mark == 0) Fail("has no mark where one is expected");
    std::vector<Item> items(std::make_move_iterator(stack_.begin() + static_cast<long>(mark)),
                            std::make_move_iterator(stack_.end()));
    stack_.resize(mark - 1);
    return items;
  }

  int DepthAround(const std::vector<Item>& items) const {
    int depth = 0;
    for (const Item& item : items) depth = std::max(depth, item.depth + 1);
    if (depth > kMaxDepth) Fail("is nested too deeply");
    return depth;
  }

  /// A tuple is kept as items while it may be arguments: those hold more than values.
  void PushTuple(std::vector<Item> items) {
    const int depth = DepthAround(items);
    const bool is_of_values = std::ranges::all_of(
        items, [](const Item& item) { return std::holds_alternative<PthValue>(item.content); });
    if (!is_of_values) {
      arguments_ = std::move(items);
      stack_.push_back({.content = PutAside{}});
      return;
    }
    PthTuple tuple;
    for (Item& item : items) tuple.elements.push_back(std::get<PthValue>(std::move(item.content)));
    stack_.push_back({.content = PthValue{std::move(tuple)}, .depth = depth});
  }
  void PushTupleOf(std::size_t count) {
    std::vector<Item> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = PopItem();
    PushTuple(std::move(items));
  }
  std::vector<Item> PopArguments() {
    Item item = PopItem();
    if (std::holds_alternative<PutAside>(item.content)) return std::exchange(arguments_, {});
    auto tuple = As<PthValue>(std::move(item), "a tuple");
    auto* const elements = std::get_if<PthTuple>(&tuple.value);
    if (elements == nullptr) Fail("has something else where a tuple is expected");
    std::vector<Item> items;
    items.reserve(elements->elements.size());
    for (PthValue& element : elements->elements) {
      items.push_back({.content = std::move(element)});
    }
    return items;
  }

  template <typename T>
  T& TopAs(std::string_view what, const std::vector<Item>& items) {
    if (stack_.empty()) Fail("adds to a value that is not there");
    Item& top = stack_.back();
    top.depth = std::max(top.depth, DepthAround(items));
    auto* const value = std::get_if<PthValue>(&top.content);
    auto* const container = value == nullptr ? nullptr : std::get_if<T>(&value->value);
    if (container == nullptr) Fail(fmt::format("adds to what is not {}", what));
    return *container;
  }
  void Append(std::vector<Item> items) {
    auto& list = TopAs<PthList>("a list", items);
    for (Item& item : items) list.push_back(As<PthValue>(std::move(item), "a value"));
  }
  void SetItems(std::vector<Item> items) {
    if (items.size() % 2 != 0) Fail("has a key without a value");
    auto& dict = TopAs<PthDict>("a dictionary", items);
    for (std::size_t i = 0; i < items.size(); i += 2) {
      auto key = As<PthValue>(std::move(items[i]), "a key");
      if (!std::holds_alternative<std::string>(key.value) &&
          !std::holds_alternative<std::int64_t>(key.value)) {
        Fail("has a key that is neither a text nor an integer");
      }
      dict.push_back({std::move(key), As<PthValue>(std::move(items[i + 1]), "a value")});
    }
  }

  // ---- What was put aside, to be used again.
  void PutAsideTop(std::uint64_t place) {
    if (stack_.empty()) Fail("puts aside a value that is not there");
    const Item& top = stack_.back();
    Item& kept = memo_[place];
    kept = {.content = PutAside{}};
    if (const auto* value = std::get_if<PthValue>(&top.content)) {
      if (!std::holds_alternative<PthList>(value->value) &&
          !std::holds_alternative<PthDict>(value->value) &&
          !std::holds_alternative<PthTuple>(value->value)) {
        CountCopy(*value);
        kept = top;
      }
    } else if (std::holds_alternative<NamedGlobal>(top.content) ||
               std::holds_alternative<PickledStorage>(top.content)) {
      kept = top;
    }
  }
  void TakeBack(std::uint64_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) Fail("takes back a value that was not put aside");
    if (std::holds_alternative<PutAside>(found->second.content)) {
      Fail("uses a container twice, which Stint does not read");
    }
    if (const auto* value = std::get_if<PthValue>(&found->second.content)) CountCopy(*value);
    stack_.push_back(found->second);
  }
  void CountCopy(const PthValue& value) {
    if (const auto* text = std::get_if<std::string>(&value.value)) {
      copied_bytes_ += static_cast<std::int64_t>(text->size());
    } else if (const auto* tensor = std::get_if<TensorView>(&value.value)) {
      copied_bytes_ += static_cast<std::int64_t>(tensor->sizes.size() * sizeof(std::int64_t));
    }
    if (copied_bytes_ > kMaxCopiedBytes) Fail("uses long texts too often");
  }

  // ---- Names and calls.
  void PushGlobal() {
    const std::string_view module = Line();
    const std::string_view name = Line();
    const std::optional<NamedGlobal> global = FindGlobal(module, name);
    if (!global) {
      Fail(fmt::format("names {}.{}, which is neither a tensor nor a container: it is not executed",
                       Quoted(module), Quoted(name)));
    }
    stack_.push_back({.content = *global});
  }

  /// ("storage", type, key, device, element count)
  void PushStorage() {
    std::vector<Item> items = PopArguments();
    if (items.size() != 5) Fail("names a storage by other than five words");
    const auto global = As<NamedGlobal>(std::move(items[1]), "a type of storage");
    if (global.kind != Global::kStorageType) Fail("names a storage without its type");
    stack_.push_back(
        {.content = PickledStorage{.dtype = global.dtype,
                                   .key = ValueOf<std::string>(std::move(items[2]), "a text"),
                                   .element_count = CountOf(std::move(items[4]))}});
  }

  template <typename T>
  T ValueOf(Item item, std::string_view what) const {
    auto value = As<PthValue>(std::move(item), what);
    if (auto* one = std::get_if<T>(&value.value)) return std::move(*one);
    Fail(fmt::format("has something else where {} is expected", what));
  }
  std::int64_t CountOf(Item item) const {
    const auto count = ValueOf<std::int64_t>(std::move(item), "a count");
    if (count < 0) Fail("has a count below 0");
    return count;
  }
  std::vector<std::int64_t> CountsOf(Item item) const {
    std::vector<std::int64_t> counts;
    auto tuple = ValueOf<PthTuple>(std::move(item), "a tuple");
    if (tuple.elements.size() > kMaxDimensions) Fail("has a tensor of more than 64 dimensions");
    counts.reserve(tuple.elements.size());
    for (PthValue& element : tuple.elements) {
      counts.push_back(CountOf({.content = std::move(element)}));
    }
    return counts;
  }

  void Call() {
    std::vector<Item> arguments = PopArguments();
    const auto global = Pop<NamedGlobal>("a name");
    switch (global.kind) {
      case Global::kRebuildTensor:
        return PushTensor(std::move(arguments));
      case Global::kRebuildParameter:
        if (arguments.empty()) Fail("rebuilds a parameter of nothing");
        return Push(ValueOf<TensorView>(std::move(arguments[0]), "a tensor"));
      case Global::kOrderedDict:
        if (!arguments.empty()) Fail("makes a dictionary of arguments");
        return Push(PthDict{});
      case Global::kStorageType:
        Fail("calls a type of storage");
    }
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks)
  void PushTensor(std::vector<Item> arguments) {
    if (arguments.size() < 4) Fail("rebuilds a tensor of fewer than four arguments");
    const auto storage = As<PickledStorage>(std::move(arguments[0]), "a storage");
    const std::int64_t offset = CountOf(std::move(arguments[1]));
    TensorView tensor = {.dtype = storage.dtype, .sizes = CountsOf(std::move(arguments[2]))};
    const std::vector<std::int64_t> strides = CountsOf(std::move(arguments[3]));
    if (strides.size() != tensor.sizes.size()) Fail("has a tensor with too few or many strides");
    std::int64_t count = 1;
    for (const std::int64_t size : tensor.sizes) {
      if (size > 0 && count > std::numeric_limits<std::int64_t>::max() / 8 / size) {
        Fail("has a tensor of more than 2^63 bytes");
      }
      count *= size;
    }
    CheckContiguous(tensor.sizes, strides, count);
    if (offset > storage.element_count || count > storage.element_count - offset) {
      Fail("has a tensor that is larger than its storage");
    }
    const std::span<const std::byte> bytes = find_storage_(storage);
    const auto element_bytes = static_cast<std::size_t>(ElementBytes(tensor.dtype));
    Check(bytes.size() == element_bytes * static_cast<std::size_t>(storage.element_count),
          "a storage has the bytes that its pickle says");
    tensor.data = bytes.subspan(element_bytes * static_cast<std::size_t>(offset),
                                element_bytes * static_cast<std::size_t>(count));
    Push(std::move(tensor));
  }
  void CheckContiguous(const std::vector<std::int64_t>& sizes,
                       const std::vector<std::int64_t>& strides, std::int64_t count) const {
    if (count == 0) return;
    std::int64_t expected = 1;
    for (std::size_t i = sizes.size(); i-- > 0;) {
      if (sizes[i] != 1 && strides[i] != expected) Fail("has a tensor that is not contiguous");
      expected *= sizes[i];
    }
  }

  void Step(char code) {
    switch (static_cast<unsigned char>(code)) {
      case 0x80:  // Protocol.
        if (Number(1) > 2) Fail("is a pickle of another protocol than 2");
        return;
      case 'N':
        return Push(std::monostate());
      case 0x88:
        return Push(true);
      case 0x89:
        return Push(false);
      case 'K':
        return Push(static_cast<std::int64_t>(Number(1)));
      case 'M':
        return Push(static_cast<std::int64_t>(Number(2)));
      case 'J':
        return Push(static_cast<std::int64_t>(static_cast<std::int32_t>(Number(4))));
      case 0x8a:
        return Push(LongInteger());
      case 'G':
        return Push(Float());
      case 'X':
        return Push(std::string(Take(Number(4))));
      case '(':
        stack_.push_back({.content = Mark{}});
        return;
      case ')':
        return PushTuple({});
      case 't':
        return PushTuple(PopToMark());
      case 0x85:
        return PushTupleOf(1);
      case 0x86:
        return PushTupleOf(2);
      case 0x87:
        return PushTupleOf(3);
      case ']':
        return Push(PthList{});
      case 'a':
        return Append(OneItem());
      case 'e':
        return Append(PopToMark());
      case '}':
        return Push(PthDict{});
      case 's':
        return SetItems(TwoItems());
      case 'u':
        return SetItems(PopToMark());
      case 'q':
        return PutAsideTop(Number(1));
      case 'r':
        return PutAsideTop(Number(4));
      case 'h':
        return TakeBack(Number(1));
      case 'j':
        return TakeBack(Number(4));
      case 'c':
        return PushGlobal();
      case 'R':
        return Call();
      case 'Q':
        return PushStorage();
      case 'b':
        return DropAttributes();
      default:
        Fail(fmt::format("has the pickle code {:#04x}, which Stint does not read",
                         static_cast<unsigned char>(code)));
    }
  }
  /// torch's state_dict() hangs versions of modules on the dictionary: of no account here.
  void DropAttributes() {
    PopItem();
    TopAs<PthDict>("a dictionary", {});
  }
  std::vector<Item> OneItem() {
    std::vector<Item> items(1);
    items[0] = PopItem();
    return items;
  }
  std::vector<Item> TwoItems() {
    std::vector<Item> items(2);
    items[1] = PopItem();
    items[0] = PopItem();
    return items;
  }

  std::string_view text_;
  const FindStorage& find_storage_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::vector<Item> stack_{};
  std::vector<Item> arguments_{};  // Of the call or storage that comes next.
  std::map<std::uint64_t, Item> memo_{};
  std::int64_t copied_bytes_ = 0;
};

}  // namespace

PthValue ParsePickle(std::string_view text, const FindStorage& find_storage,
                     const std::string& where) {
  return Machine(text, find_storage, where).Run();
}

}  // namespace stint
