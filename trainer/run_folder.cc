#include "trainer/run_folder.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "files/checkpoint_folder.h"
#include "ir/errors.h"
#include "ir/file.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr char kMetrics[] = "metrics.jsonl";
constexpr char kNewest[] = "checkpoint.pth";

std::string ToText(const StateWords::mapped_type& word) {
  return std::visit(
      [](const auto& one) {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, std::string>) return one;
        return fmt::format("{}", one);
      },
      word);
}

ResumedState Open(const fs::path& path) {
  ResumedState resumed = {.path = path, .loaded = ReadTrainingState(path)};
  resumed.loaded.file->CheckChecksums();
  return resumed;
}

}  // namespace

void BeginRun(const fs::path& folder) {
  std::error_code error;
  for (const char* name : {kMetrics, kNewest, "final"}) {
    if (!fs::exists(fs::symlink_status(folder / name, error))) continue;
    throw InputError("--output", fmt::format("{} holds a training run already: go on with "
                                             "--resume latest, or name another folder",
                                             folder.string()));
  }
  fs::create_directories(folder, error);
  if (error) {
    throw InputError("--output",
                     fmt::format("{} cannot be made ({})", folder.string(), error.message()));
  }
}

ResumedState FindState(const fs::path& folder, const std::string& resume) {
  if (resume != "latest") return Open(resume);
  CleanCheckpointFolder(folder);
  const std::optional<fs::path> found = FindNewestState(folder);
  std::error_code error;
  const fs::path newest = folder / fs::read_symlink(folder / kNewest, error);
  std::string damage;
  if (!error && (!found || *found != newest)) {
    try {
      Open(newest);
    } catch (const InputError& reason) {
      damage = reason.what();
    }
  }
  if (!found) {
    if (!damage.empty()) throw InputError("--resume", damage);
    throw InputError("--resume", fmt::format("there is no training state in {}", folder.string()));
  }
  ResumedState resumed = Open(*found);
  if (!damage.empty()) {
    resumed.note = fmt::format("{}; going on from {} instead", damage, found->string());
  }
  return resumed;
}

void CheckSameRun(const StateWords& was, const StateWords& is, const std::string& where) {
  if (was.contains(kAspectBuckets) != is.contains(kAspectBuckets)) {
    throw InputError(where, was.contains(kAspectBuckets)
                                ? "was trained with --aspect-buckets, not without"
                                : "was trained without --aspect-buckets, not with them");
  }
  for (const auto& [key, word] : is) {
    const auto found = was.find(key);
    if (found == was.end()) throw InputError(where, fmt::format("does not say its {}", key));
    if (found->second == word) continue;
    throw InputError(where, fmt::format("was trained with {} {}, not {}", key,
                                        ToText(found->second), ToText(word)));
  }
}

MetricsFile::MetricsFile(const fs::path& folder, std::int64_t step_count)
    : path_(folder / kMetrics) {
  std::string kept;
  if (fs::exists(path_)) {
    std::istringstream lines(ReadText(path_));
    for (std::string line; std::getline(lines, line);) {
      // The last line of a run that was killed may be half.
      const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (json.is_object() && json.value("step", std::int64_t{0}) <= step_count)
        kept += line + "\n";
    }
  }
  WriteText(path_, kept);
  file_.open(path_, std::ios::app);
}

void MetricsFile::Append(const StepMetrics& metrics) {
  nlohmann::ordered_json line = {{"step", metrics.step},
                                 {"epoch", metrics.epoch},
                                 {"loss", metrics.loss},
                                 {"learning_rate", metrics.learning_rate},
                                 {"steps_per_s", metrics.steps_per_s},
                                 {"peak_bytes", metrics.peak_bytes}};
  if (!metrics.size.empty()) line["size"] = metrics.size;
  if (metrics.save_wait_s) line["save_wait_s"] = *metrics.save_wait_s;
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) throw InputError(path_.string(), "cannot be written");
}

}  // namespace stint
