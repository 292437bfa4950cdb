#include "dispatch/hollow.h"

#include <c10/core/CPUAllocator.h>

#include <cstring>
#include <memory>
#include <utility>

namespace stint {
namespace {

/// Context of every DataPtr made here.
struct Tag {
  StorageIdentity identity{};
  c10::DataPtr memory{};  // Of a host storage; empty when hollow.
};

void DeleteTag(void* context) { delete static_cast<Tag*>(context); }

c10::Storage MakeStorage(std::unique_ptr<Tag> tag, void* data, std::int64_t size_bytes,
                         c10::Device device) {
  return c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), size_bytes,
      c10::DataPtr(data, tag.release(), &DeleteTag, device), c10::GetAllocator(device.type()),
      /*resizable=*/true);
}

}  // namespace

c10::Storage MakeHollowStorage(StorageIdentity identity, std::int64_t size_bytes,
                               c10::Device device) {
  auto tag = std::make_unique<Tag>();
  tag->identity = identity;
  c10::Storage storage = MakeStorage(std::move(tag), nullptr, size_bytes, device);
  storage.unsafeGetStorageImpl()->release_data_and_set_meta_custom_data_ptr_error_msg_(
      "The program touches the memory of a tensor while it is being recorded, when tensors have "
      "none; it may only issue ATen ops");
  return storage;
}

c10::Storage MakeHostStorage(StorageIdentity identity, std::int64_t size_bytes) {
  auto tag = std::make_unique<Tag>();
  tag->identity = identity;
  tag->memory = c10::GetCPUAllocator()->allocate(static_cast<std::size_t>(size_bytes));
  void* const data = tag->memory.get();
  if (data != nullptr) std::memset(data, 0, static_cast<std::size_t>(size_bytes));
  return MakeStorage(std::move(tag), data, size_bytes, c10::Device(c10::kCPU));
}

std::optional<BufferId> BufferOf(c10::StorageImpl& storage, std::uint64_t capture) {
  const c10::DataPtr& data = storage._mutable_data_ptr_no_checks();  // The others throw if hollow.
  if (data.get_deleter() != &DeleteTag) return std::nullopt;
  const StorageIdentity& identity = static_cast<const Tag*>(data.get_context())->identity;
  if (identity.capture != capture) return std::nullopt;
  return identity.buffer;
}

TensorShape ShapeOf(const c10::TensorImpl& tensor) {
  return {.dtype = c10::typeMetaToScalarType(tensor.dtype()),
          .sizes = tensor.sizes().vec(),
          .strides = tensor.strides().vec(),
          .storage_offset = tensor.storage_offset()};
}

at::Tensor MakeTensor(const c10::Storage& storage, const TensorShape& shape) {
  const c10::DispatchKey key =
      storage.device_type() == c10::kCUDA ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU;
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(key), c10::scalarTypeToTypeMeta(shape.dtype));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(shape.sizes, shape.strides,
                                                      shape.storage_offset);
  return tensor;
}

}  // namespace stint
