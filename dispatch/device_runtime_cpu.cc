#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "dispatch/allocator_hook.h"
#include "dispatch/device_parts.h"
#include "dispatch/host_memory.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  }
  return "CPU";
}

/// Element `index` of a stream of random words (SplitMix64): any thread can start anywhere.
std::uint64_t RandomWord(std::uint64_t seed, std::int64_t index) {
  std::uint64_t word = seed + (static_cast<std::uint64_t>(index) + 1) * 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

template <typename Element, typename FromWord>
void FillElements(void* data, std::int64_t size_bytes, std::uint64_t seed,
                  const FromWord& from_word) {
  auto* const elements = static_cast<Element*>(data);
  const std::int64_t count = size_bytes / static_cast<std::int64_t>(sizeof(Element));
  at::parallel_for(0, count, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) elements[i] = from_word(RandomWord(seed, i));
  });
}

/// 256 evenly spaced numbers, which both 16-bit types hold exactly: converting each would be slow.
template <typename Element>
void FillFromTable(void* data, std::int64_t size_bytes, std::uint64_t seed) {
  std::array<Element, 256> table;
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) / 256.0F;
  FillElements<Element>(data, size_bytes, seed,
                        [&](std::uint64_t word) { return table[word >> 56]; });
}

/// Calls return when their work is done: compute is always there.
class CpuFence final : public DeviceFence {
 public:
  void Record() override {}
  void Wait() override {}
};

class CpuRuntime final : public DeviceRuntime {
 public:
  CpuRuntime() { InstallAllocatorHook(DeviceKind::kCpu); }

  DeviceKind kind() const override { return DeviceKind::kCpu; }

  Device Describe() const override { return Identify(); }  // All there is.

  Device Identify() const override {
    return {.kind = DeviceKind::kCpu,
            .name = ProcessorName(),
            .memory_bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * PageBytes(),
            .thread_count = at::get_num_threads()};
  }

  void* Allocate(std::int64_t size_bytes) override {
    void* data = std::aligned_alloc(kAlignmentBytes, static_cast<std::size_t>(AlignUp(size_bytes)));
    if (data == nullptr) {
      throw InputError("cpu", "cannot allocate " + FormatBytes(size_bytes));
    }
    return data;
  }

  void Free(void* data) override { std::free(data); }

  void* AllocateHost(std::int64_t size_bytes) override {
    CheckHostHas(size_bytes);
    return Allocate(size_bytes);
  }
  void FreeHost(void* data) override { Free(data); }

  void CopyInOrder(void* target, const void* source, std::int64_t size_bytes) override {
    std::memcpy(target, source, static_cast<std::size_t>(size_bytes));
  }
  std::unique_ptr<DeviceFence> MakeFence() override { return std::make_unique<CpuFence>(); }

  std::unique_ptr<CopyStreams> MakeCopyStreams() override { return MakeCpuCopyStreams(); }

  void CopyToDevice(void* device_data, const void* host_data, std::int64_t size_bytes) override {
    std::memcpy(device_data, host_data, static_cast<std::size_t>(size_bytes));
  }

  void CopyToHost(void* host_data, const void* device_data, std::int64_t size_bytes) override {
    std::memcpy(host_data, device_data, static_cast<std::size_t>(size_bytes));
  }

  void Fill(void* device_data, std::uint8_t byte, std::int64_t size_bytes) override {
    std::memset(device_data, byte, static_cast<std::size_t>(size_bytes));
  }

  void Synchronize() override {}  // Calls return when their work is done.

  void FillRandom(void* device_data, const std::string& dtype, std::int64_t size_bytes,
                  std::uint64_t seed) override {
    if (dtype == "float32") {
      FillElements<float>(device_data, size_bytes, seed, [](std::uint64_t word) {
        return static_cast<float>(word >> 40) * 0x1p-24F;
      });
    } else if (dtype == "float64") {
      FillElements<double>(device_data, size_bytes, seed, [](std::uint64_t word) {
        return static_cast<double>(word >> 11) * 0x1p-53;
      });
    } else if (dtype == "float16") {
      FillFromTable<c10::Half>(device_data, size_bytes, seed);
    } else if (dtype == "bfloat16") {
      FillFromTable<c10::BFloat16>(device_data, size_bytes, seed);
    } else {
      Fill(device_data, 0, size_bytes);
    }
  }

  std::int64_t ProcessBytes() const override {
    std::ifstream file("/proc/self/statm");
    std::int64_t virtual_pages = 0;
    std::int64_t resident_pages = 0;
    file >> virtual_pages >> resident_pages;
    return resident_pages * PageBytes();
  }

  std::unique_ptr<DeviceGraph> CaptureGraph(const std::function<void()>& /*issue*/) override {
    return nullptr;
  }

  std::vector<std::int64_t> TimeEach(std::int64_t count,
                                     const std::function<void(std::int64_t)>& issue) override {
    std::vector<std::int64_t> times_ns;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto start = std::chrono::steady_clock::now();
      issue(i);
      const auto end = std::chrono::steady_clock::now();
      times_ns.push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count());
    }
    return times_ns;
  }

  void SetDeterministic(bool is_deterministic) override { ChooseKernels(is_deterministic); }

  void ReleaseLibraryWorkspaces() override {}  // oneDNN asks for its scratch memory in each op.

 private:
  static std::int64_t PageBytes() { return sysconf(_SC_PAGESIZE); }
};

}  // namespace

std::unique_ptr<DeviceRuntime> MakeCpuRuntime() {
  // Read by MKL when it starts. Without it, the bits of a matrix product depend on where its
  // operands lie, and a planned run has other addresses than an unplanned one.
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);
  return std::make_unique<CpuRuntime>();
}

}  // namespace stint
