#include "files/checkpoint_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "ir/errors.h"
#include "ir/output_file.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBegin = "checkpoint-";
constexpr std::string_view kEnd = ".pth";
constexpr char kLink[] = "checkpoint.pth";

std::string FileName(std::int64_t step) { return fmt::format("{}{:08}{}", kBegin, step, kEnd); }

/// The states of a folder, the newest first.
std::vector<std::pair<std::int64_t, fs::path>> StatesOf(const fs::path& folder) {
  std::vector<std::pair<std::int64_t, fs::path>> states;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    std::string_view digits = name;
    if (!digits.starts_with(kBegin) || !digits.ends_with(kEnd)) continue;
    digits.remove_prefix(kBegin.size());
    digits.remove_suffix(kEnd.size());
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    if (error == std::errc() && end == digits.data() + digits.size()) {
      states.emplace_back(step, entry.path());
    }
  }
  std::ranges::sort(states, std::ranges::greater());
  return states;
}

/// Is the file whole, and what its name says?
bool IsState(const fs::path& path, std::int64_t step) {
  try {
    return ReadTrainingState(path).state.step == step;
  } catch (const InputError&) {
    return false;
  }
}

/// Points the link to `name`, in one step as a reader sees it.
void MoveLink(const fs::path& folder, const std::string& name) {
  const fs::path link = folder / kLink;
  const fs::path temporary = folder / fmt::format(".{}.{}.tmp", kLink, ::getpid());
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(name, temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error) {
    throw InputError(link.string(), fmt::format("cannot be written ({})", error.message()));
  }
}

}  // namespace

void SaveTrainingState(const fs::path& folder, const TrainingState& state,
                       std::int64_t keep_count) {
  Check(keep_count >= 1, "the state that was just saved is kept");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw InputError(folder.string(), fmt::format("cannot be made ({})", error.message()));
  }
  const std::string name = FileName(state.step);
  WriteTrainingState(folder / name, state);
  MoveLink(folder, name);
  // A run that was resumed from an older state meets later ones of its former life: what was just
  // saved is the newest all the same.
  std::int64_t kept_count = 1;
  for (const auto& [step, path] : StatesOf(folder)) {
    if (step == state.step) continue;
    if (step < state.step && kept_count < keep_count) {
      ++kept_count;
    } else {
      fs::remove(path, error);
    }
  }
}

std::optional<fs::path> FindNewestState(const fs::path& folder) {
  for (const auto& [step, path] : StatesOf(folder)) {
    if (IsState(path, step)) return path;
  }
  return std::nullopt;
}

void CleanCheckpointFolder(const fs::path& folder) { RemoveAbandonedFiles(folder); }

BackgroundSaver::~BackgroundSaver() {
  if (saving_.valid()) saving_.wait();
}

void BackgroundSaver::Start(std::function<void()> save) {
  Wait();
  saving_ = std::async(std::launch::async, std::move(save));
}

bool BackgroundSaver::IsBusy() const {
  return saving_.valid() && saving_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

void BackgroundSaver::Wait() {
  if (saving_.valid()) std::exchange(saving_, {}).get();
}

}  // namespace stint
