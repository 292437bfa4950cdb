// The pickle in a .pth file; see files/pth.h. Protocol 2, the one that torch.save writes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/pth.h"

namespace stint {

/// The numbers of one or more tensors, as a pickle names them.
struct PickledStorage {
  Dtype dtype{};
  std::string key{};               // Its file is "data/<key>".
  std::int64_t element_count = 0;  //
};

/// The bytes of a storage: ElementBytes * element_count of them.
using FindStorage = std::function<std::span<const std::byte>(const PickledStorage&)>;

/// The pickle of a tree; tensor i in the order of `storages` has the key "i".
struct Pickle {
  std::string text{};
  std::vector<std::span<const std::byte>> storages{};
};
Pickle MakePickle(const PthValue& root);

/// Reads a pickle without executing it. Its memory is bounded by a constant and the pickle's size,
/// whatever it says.
/// @throws InputError naming `where` and the byte.
PthValue ParsePickle(std::string_view text, const FindStorage& find_storage,
                     const std::string& where);

/// The name of torch's type of storage: "FloatStorage"; empty if there is none.
std::string_view StorageName(Dtype dtype);

}  // namespace stint
