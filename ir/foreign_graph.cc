#include "ir/foreign_graph.h"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string_view>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/foreign/formats.h"
#include "ir/foreign/lines.h"
#include "ir/json_reader.h"

namespace stint {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

void CheckOptions(const ForeignOptions& options, const std::string& where) {
  if (options.link_bytes_per_s < 0 || options.copy_latency_ns < 0 || options.overhead_bytes < 0 ||
      options.update_duration_ns < 0) {
    throw InputError(where, "cannot be read with negative options");
  }
  const bool is_scaled = options.step_duration_ns != 0 || options.update_duration_ns != 0;
  if (is_scaled &&
      (options.update_duration_ns == 0 || options.step_duration_ns <= options.update_duration_ns)) {
    throw InputError(where, "needs a step that takes longer than its updates, and both given");
  }
}

/// Copies that take a latency and then go at one rate: two sizes describe all others between.
Device MakeDevice(const ForeignOptions& options) {
  Device device{
      .kind = DeviceKind::kCuda, .name = "cost model", .overhead_bytes = options.overhead_bytes};
  if (options.link_bytes_per_s == 0) return device;
  for (const std::int64_t size_bytes : {std::int64_t{1}, 64 * kGiB}) {
    const auto copy_ns =
        options.copy_latency_ns + std::llround(1e9 * static_cast<double>(size_bytes) /
                                               static_cast<double>(options.link_bytes_per_s));
    device.copy_times.push_back({.size_bytes = size_bytes,
                                 .to_host_ns = copy_ns,
                                 .to_device_ns = copy_ns,
                                 .both_ns = copy_ns});
  }
  return device;
}

Profile ReadJson(const std::string& text, const std::string& where, const ForeignOptions& options) {
  std::set<std::string, std::less<>> keys{};
  JsonReader json(text, where);
  json.Object([&](std::string_view key) {
    keys.emplace(key);
    json.Skip();
  });
  if (keys.contains("nodes")) return foreign::ReadNodeLink(text, where);
  if (keys.contains("ops") && keys.contains("sto")) {
    return foreign::ReadWholeStep(text, where, options);
  }
  if (keys.contains("schema"))
    throw InputError(where, "is a file of Stint itself, not a foreign one");
  throw InputError(where,
                   "is neither a node-link graph (\"nodes\") nor a whole step (\"ops\", \"sto\")");
}

Profile ReadByContent(const std::string& text, const std::string& where,
                      const ForeignOptions& options) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) throw InputError(where, "is empty");
  const std::string_view first_line =
      std::string_view(text).substr(begin, text.find('\n', begin) - begin);
  if (text[begin] == '{') {
    const bool is_log = first_line.find("\"INSTRUCTION\"") != std::string_view::npos;
    return is_log ? foreign::ReadDtrLog(text, where, options) : ReadJson(text, where, options);
  }
  const std::size_t word_count = foreign::Words(first_line).size();
  const bool is_number = text[begin] >= '0' && text[begin] <= '9';
  if (is_number && word_count == 2) return foreign::ReadChainerGraph(text, where);
  if (is_number && word_count == 3) return foreign::ReadCostGraph(text, where);
  throw InputError(where,
                   "begins like no known graph: node-link JSON, a DTR log, a Chainer graph, a cost "
                   "graph or a whole step");
}

}  // namespace

ForeignOptions Sd15StepOptions() {
  return {.step_duration_ns = 52'000'000,
          .update_duration_ns = 4'500'000,
          .link_bytes_per_s = 44'000'000'000,
          .overhead_bytes = 85 * kGiB / 100};
}

ForeignOptions SdxlStepOptions() {
  return {.step_duration_ns = 97'000'000,
          .update_duration_ns = 12'000'000,
          .link_bytes_per_s = 44'000'000'000,
          .overhead_bytes = 95 * kGiB / 100};
}

Profile ForeignGraphFromText(const std::string& text, const std::string& where,
                             const ForeignOptions& options) {
  CheckOptions(options, where);
  Profile profile = ReadByContent(text, where, options);
  profile.device = MakeDevice(options);
  Validate(profile, where);
  return profile;
}

Profile ReadForeignGraph(const std::filesystem::path& path, const ForeignOptions& options) {
  return ForeignGraphFromText(ReadText(path), path == "-" ? "standard input" : path.string(),
                              options);
}

}  // namespace stint
