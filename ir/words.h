// The word of each enumerator, in order: what files and people see.
#pragma once

#include <array>
#include <cstddef>

#include "ir/device.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"
#include "ir/stream.h"

namespace stint {

constexpr auto WordsOf(BufferRole) {
  return std::array{"weight",   "gradient",   "optimizer_state", "ema",      "input",
                    "constant", "activation", "output",          "workspace"};
}
constexpr auto WordsOf(DeviceKind) { return std::array{"cpu", "cuda"}; }
constexpr auto WordsOf(InstructionKind) {
  return std::array{"compute", "free", "offload", "fetch", "drop"};
}
constexpr auto WordsOf(PlanStatus) { return std::array{"optimal", "feasible"}; }
constexpr auto WordsOf(BoundRow) {
  return std::array{
      "memory",       "need",    "closure",        "carry",       "suffix_need", "suffix_closure",
      "suffix_sum",   "compute", "suffix_compute", "to_host",     "to_device",   "write",
      "host",         "fetch",   "somewhere",      "host_memory", "origin",      "suffix_somewhere",
      "suffix_origin"};
}
constexpr auto WordsOf(Stream) { return std::array{"compute", "to_host", "to_device"}; }
constexpr auto WordsOf(ReportSource) { return std::array{"predicted", "measured"}; }

template <typename Enum>
const char* WordOf(Enum value) {
  return WordsOf(Enum{}).at(static_cast<std::size_t>(value));
}

}  // namespace stint
