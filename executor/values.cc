#include "executor/values.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "dispatch/dtypes.h"

namespace stint {
namespace {

bool IsContiguous(const Tensor& tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.sizes.size(); i-- > 0;) {
    if (tensor.sizes[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.sizes[i];
  }
  return true;
}

/// Whether each element of `tensor` is one of the buffer's and each of the buffer's is in it once.
bool Fills(const Tensor& tensor, const Buffer& buffer) {
  std::vector<std::size_t> axes(tensor.sizes.size());
  std::iota(axes.begin(), axes.end(), 0);
  std::sort(axes.begin(), axes.end(),
            [&](std::size_t a, std::size_t b) { return tensor.strides[a] < tensor.strides[b]; });
  std::int64_t element_count = 1;
  for (const std::size_t axis : axes) {
    if (tensor.sizes[axis] == 1) continue;
    if (tensor.strides[axis] != element_count) return false;
    element_count *= tensor.sizes[axis];
  }
  return tensor.storage_offset == 0 &&
         element_count * ElementBytes(tensor.dtype, "profile") == buffer.size_bytes;
}

}  // namespace

BufferShapes::BufferShapes(const Profile& profile)
    : profile_(profile), filling_(profile.buffers.size()), any_(profile.buffers.size()) {
  for (const Tensor& tensor : profile.tensors) {
    const std::size_t buffer = Index(tensor.buffer);
    if (any_[buffer] == nullptr) any_[buffer] = &tensor;
    const Tensor*& best = filling_[buffer];
    const bool is_better = best == nullptr || (!IsContiguous(*best) && IsContiguous(tensor));
    if (is_better && Fills(tensor, profile.buffers[buffer])) best = &tensor;
  }
}

at::Tensor BufferShapes::MakeImage(BufferId id) const {
  const Layout layout = LayoutOf(id);
  return at::empty_strided(layout.sizes, layout.strides, layout.dtype);
}

at::Tensor BufferShapes::ImageAt(BufferId id, void* data) const {
  const Layout layout = LayoutOf(id);
  return at::from_blob(data, layout.sizes, layout.strides, at::TensorOptions(layout.dtype));
}

BufferShapes::Layout BufferShapes::LayoutOf(BufferId id) const {
  const Buffer& buffer = profile_.buffers[Index(id)];
  if (const Tensor* tensor = filling_[Index(id)]; tensor != nullptr) {
    return {.sizes = tensor->sizes,
            .strides = tensor->strides,
            .dtype = DtypeFromName(tensor->dtype, "profile")};
  }
  const Tensor* tensor = any_[Index(id)];
  const auto dtype = tensor == nullptr ? at::kByte : DtypeFromName(tensor->dtype, "profile");
  const auto element_bytes = static_cast<std::int64_t>(c10::elementSize(dtype));
  return {.sizes = {buffer.size_bytes / element_bytes}, .strides = {1}, .dtype = dtype};
}

at::Tensor BufferShapes::ValueIn(BufferId id, const at::Tensor& image) const {
  const Tensor* tensor = any_[Index(id)];
  if (filling_[Index(id)] != nullptr || tensor == nullptr) return image;
  return image.as_strided(tensor->sizes, tensor->strides, tensor->storage_offset).clone();
}

}  // namespace stint
