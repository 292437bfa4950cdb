// Puts the profile of a foreign graph together: whole storages, ops that read, write and make them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/profile.h"

namespace stint::foreign {

/// An op in terms of storages. Lists may repeat themselves.
struct GraphOp {
  std::string_view name{};          // As the file calls it.
  std::vector<BufferId> reads{};    //
  std::vector<BufferId> creates{};  // Once each.
  std::vector<BufferId> writes{};   // In place.
  std::int64_t duration_ns = 0;     //
  bool is_backward = false;         //
};

class ProfileBuilder {
 public:
  /// Every buffer has one tensor over all of it.
  BufferId Add(const Buffer& buffer);

  void Add(const GraphOp& op);

  /// One phase, validated. `model` names the workload.
  /// @throws InputError beginning with `where`.
  Profile Build(const std::string& model, const std::string& where);

 private:
  Profile profile_{};
};

}  // namespace stint::foreign
