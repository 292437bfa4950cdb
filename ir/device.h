// The machine a profile was recorded on, as far as a plan needs to know it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stint {

enum class DeviceKind : std::uint8_t { kCpu, kCuda };

/// Copy time of one transfer size between pinned host memory and the device: of one of several in a
/// row, with nobody else on the link.
struct CopyTime {
  std::int64_t size_bytes = 0;    // > 0; ascending in Device::copy_times.
  std::int64_t to_host_ns = 0;    // Device to host, alone.
  std::int64_t to_device_ns = 0;  // Host to device, alone.
  std::int64_t both_ns = 0;       // One of each at once, of the slower way.
};

struct Device {
  DeviceKind kind{};
  std::string name{};             // "NVIDIA H100 80GB HBM3", "Intel(R) Xeon(R) Processor".
  std::int64_t memory_bytes = 0;  // Of the card; of the machine's RAM for a CPU.
  std::int32_t thread_count = 0;  // CPU threads an op may use: part of an op's requests. 0 on CUDA.
  std::int64_t overhead_bytes = 0;  // Context, loaded modules, library handles: device memory of
                                    // the process that no plan can place. 0 on a CPU.
  std::int64_t graph_node_bytes =
      0;  // Device memory that one kernel of an instantiated graph takes.
  std::vector<CopyTime> copy_times{};  // Empty on a CPU.
  std::int64_t wait_ns = 0;  // What compute takes longer for each copy that it waits for, also
                             // where that is over long since, and for each op that copies wait for.
  std::int64_t copy_slowdown_permille = 0;  // What compute takes longer while copies run both ways;
                                            // half of it while they run one way.
};

}  // namespace stint
