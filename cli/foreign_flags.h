// The flags of every command that reads foreign graphs (ir/foreign_graph.h).
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "ir/foreign_graph.h"

namespace stint {

struct ForeignFlags {
  std::string cost_model{};
  std::int64_t link_bytes_per_s = 0;
  bool has_fp32_states = false;
  bool has_separate_outputs = false;
};

/// Keeps a reference to `flags`.
void AddForeignFlags(CLI::App& command, ForeignFlags& flags);

/// What the flags mean.
ForeignOptions ToOptions(const ForeignFlags& flags);

}  // namespace stint
