#include "ir/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryEnd = ".tmp";

fs::path FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Makes the rename itself durable. Some file systems cannot sync a directory: the file is whole
/// all the same, so a failure is not an error.
void SyncFolder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

/// The process in ".<name>.<process id>.tmp"; 0 for any other name.
pid_t WriterOf(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(kTemporaryEnd)) return 0;
  name.remove_suffix(kTemporaryEnd.size());
  const std::size_t dot = name.rfind('.');
  const std::string_view digits = name.substr(dot + 1);
  pid_t process = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), process);
  return dot > 0 && error == std::errc() && end == digits.data() + digits.size() ? process : 0;
}

}  // namespace

OutputFile::OutputFile(const fs::path& path)
    : path_(path),
      temporary_(FolderOf(path) /
                 fmt::format(".{}.{}{}", path.filename().string(), ::getpid(), kTemporaryEnd)) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) Fail(errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void OutputFile::Append(std::span<const std::byte> bytes) {
  Check(descriptor_ >= 0, "a committed file takes no more bytes");
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      Fail(errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    size_bytes_ += count;
  }
}

void OutputFile::Commit() {
  Check(descriptor_ >= 0, "a file is committed once");
  if (::fsync(descriptor_) != 0) Fail(errno);
  const int closing = std::exchange(descriptor_, -1);
  if (::close(closing) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    Fail(error);
  }
  SyncFolder(FolderOf(path_));
}

void OutputFile::Fail(int error) const {
  throw InputError(path_.string(),
                   fmt::format("cannot be written ({})", std::generic_category().message(error)));
}

void RemoveAbandonedFiles(const fs::path& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const pid_t writer = WriterOf(entry.path().filename().string());
    if (writer > 0 && ::kill(writer, 0) != 0 && errno == ESRCH) fs::remove(entry.path(), ignored);
  }
}

}  // namespace stint
