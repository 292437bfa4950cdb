// Storages without memory. A hollow tensor has device, sizes and strides, and its storage knows its
// size and which buffer of the profile it is; whoever touches its memory gets an exception.
//
// A storage's identity is kept in the context of its DataPtr, which dies with the storage: no table
// of addresses can mistake a new storage for a dead one, and nobody holds a reference.
// Includes LibTorch; internal to dispatch/.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/ids.h"

namespace stint {

/// Which buffer of which capture a storage is.
struct StorageIdentity {
  std::uint64_t capture = 0;  // Never 0; unique in the process.
  BufferId buffer{};
};

/// A storage of `size_bytes` >= 0 that has no memory.
c10::Storage MakeHollowStorage(StorageIdentity identity, std::int64_t size_bytes,
                               c10::Device device);

/// A storage in host memory, filled with zeros, that has an identity all the same.
c10::Storage MakeHostStorage(StorageIdentity identity, std::int64_t size_bytes);

/// The buffer that `storage` is in `capture`; empty for storages of others.
std::optional<BufferId> BufferOf(c10::StorageImpl& storage, std::uint64_t capture);

/// How a tensor looks at its storage.
struct TensorShape {
  c10::ScalarType dtype{};
  std::vector<std::int64_t> sizes{};
  std::vector<std::int64_t> strides{};  // In elements.
  std::int64_t storage_offset = 0;      // In elements.
};

TensorShape ShapeOf(const c10::TensorImpl& tensor);
at::Tensor MakeTensor(const c10::Storage& storage, const TensorShape& shape);

}  // namespace stint
