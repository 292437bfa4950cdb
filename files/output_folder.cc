#include "files/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "ir/errors.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

/// Makes the names in a folder durable. Some file systems cannot sync a folder; what is in it is
/// whole all the same, so a failure is not an error.
void SyncFolder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

[[noreturn]] void Fail(const fs::path& path, int error) {
  throw InputError(path.string(),
                   fmt::format("cannot be made ({})", std::generic_category().message(error)));
}

/// "models/" has no file name of its own.
fs::path WithoutSlash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& path) : path_(WithoutSlash(path)) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path_, error))) {
    throw InputError(path_.string(), "is there already, and nothing is overwritten");
  }
  temporary_ = path_.parent_path() /
               fmt::format(".{}.{}.tmp", path_.filename().string(), static_cast<int>(::getpid()));
  fs::create_directory(temporary_, error);
  if (error) Fail(path_, error.value());
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!is_committed_) fs::remove_all(temporary_, ignored);
}

void OutputFolder::Commit() {
  Check(!is_committed_, "a folder is committed once");
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(temporary_)) {
    if (entry.is_directory()) SyncFolder(entry.path());
  }
  SyncFolder(temporary_);
  // An empty folder of that name that appeared meanwhile is somebody else's.
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0) {
    Fail(path_, errno);
  }
  is_committed_ = true;
  SyncFolder(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

}  // namespace stint
