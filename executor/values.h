// The values of buffers as CPU tensors, for loading them and for looking at results.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ir/profile.h"

namespace stint {

/// How to look at each buffer of a profile as one tensor whose elements fill it.
class BufferShapes {
 public:
  /// Keeps a reference to the profile, which must outlive it.
  explicit BufferShapes(const Profile& profile);

  /// A CPU tensor with undefined content whose memory is laid out as the buffer's: with the sizes
  /// and strides of the first tensor that fills it, else flat.
  at::Tensor MakeImage(BufferId id) const;

  /// The same over memory that holds the buffer, which must outlive it.
  at::Tensor ImageAt(BufferId id, void* data) const;

  /// The value in an image: the image itself where a tensor fills the buffer, else a copy of the
  /// part that its first tensor views. What lies beside that is never written.
  at::Tensor ValueIn(BufferId id, const at::Tensor& image) const;

 private:
  struct Layout {
    std::vector<std::int64_t> sizes{};
    std::vector<std::int64_t> strides{};
    at::ScalarType dtype{};
  };
  Layout LayoutOf(BufferId id) const;

  const Profile& profile_;
  std::vector<const Tensor*> filling_;  // By buffer; null where no tensor fills it.
  std::vector<const Tensor*> any_;      // By buffer; null where no tensor views it.
};

}  // namespace stint
