#include "files/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "ir/errors.h"

namespace stint {
namespace {

InputError Unreadable(const std::filesystem::path& path, int error) {
  return {path.string(),
          fmt::format("cannot be read ({})", std::generic_category().message(error))};
}

/// Maps an open file, whole.
std::span<const std::byte> Map(int file, const std::filesystem::path& path) {
  struct stat status = {};
  if (::fstat(file, &status) != 0) throw Unreadable(path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw InputError(path.string(), S_ISDIR(status.st_mode) ? "is a folder" : "is not a file");
  }
  if (status.st_size == 0) throw InputError(path.string(), "is empty");
  const auto size_bytes = static_cast<std::size_t>(status.st_size);
  void* const data = ::mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (data == MAP_FAILED) throw Unreadable(path, errno);
  return {static_cast<const std::byte*>(data), size_bytes};
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // Without O_NONBLOCK a named pipe would be waited for.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw Unreadable(path, errno);
  try {
    bytes_ = Map(file, path);
  } catch (...) {
    ::close(file);
    throw;
  }
  ::close(file);
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

}  // namespace stint
