#include "ir/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "ir/errors.h"
#include "ir/gzip.h"
#include "ir/output_file.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestTextBytes = std::int64_t{4} << 30;

std::string SystemReason(int error) { return std::generic_category().message(error); }

/// An open file descriptor; closes it unless that was done.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool Close() {
    const int closing = std::exchange(number_, -1);
    return closing < 0 || ::close(closing) == 0;
  }

 private:
  int number_;
};

std::string ReadAll(int descriptor, const std::string& where) {
  std::string text;
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      status.st_size <= kLargestTextBytes) {
    text.reserve(static_cast<std::size_t>(status.st_size));
  }
  std::string chunk(std::size_t{1} << 18, '\0');
  while (true) {
    const ssize_t count = ::read(descriptor, chunk.data(), chunk.size());
    if (count == 0) return text;
    if (count < 0) {
      if (errno == EINTR) continue;
      throw InputError(where, fmt::format("cannot be read ({})", SystemReason(errno)));
    }
    text.append(chunk, 0, static_cast<std::size_t>(count));
    if (static_cast<std::int64_t>(text.size()) > kLargestTextBytes) {
      throw InputError(where, "is larger than 4 GiB");
    }
  }
}

void WriteAll(int descriptor, std::string_view bytes, const std::string& where) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      throw InputError(where, fmt::format("cannot be written ({})", SystemReason(errno)));
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// Writes to what is no file that could be replaced: a terminal, a pipe, /dev/null.
void WriteThrough(const fs::path& path, std::string_view bytes) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.number() < 0) {
    throw InputError(path.string(), fmt::format("cannot be written ({})", SystemReason(errno)));
  }
  WriteAll(file.number(), bytes, path.string());
}

/// The file that a chain of symbolic links ends in: that one is replaced, not the link.
fs::path Resolve(const fs::path& path) {
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(path, error);
  return error ? path : resolved;
}

}  // namespace

std::string ReadText(const fs::path& path) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input");
  const std::string where = path.string();
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) {
    throw InputError(where, fmt::format("cannot be opened ({})", SystemReason(errno)));
  }
  std::string text = ReadAll(file.number(), where);
  return path.extension() == ".gz" ? Gunzip(text, kLargestTextBytes, where) : text;
}

void WriteText(const fs::path& path, const std::string& text) {
  if (path == "-") return WriteAll(STDOUT_FILENO, text, "standard output");
  const std::string zipped = path.extension() == ".gz" ? Gzip(text) : std::string();
  const std::string_view bytes = path.extension() == ".gz" ? zipped : text;
  const fs::path target = Resolve(path);
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (fs::is_directory(status)) throw InputError(path.string(), "is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    WriteThrough(target, bytes);
  } else {
    OutputFile file(target);
    file.Append(bytes);
    file.Commit();
  }
}

std::string Sha256(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int digest_bytes = 0;
  Check(EVP_Digest(text.data(), text.size(), digest.data(), &digest_bytes, EVP_sha256(), nullptr) ==
                1 &&
            digest_bytes == 32,
        "OpenSSL knows SHA-256");
  std::string hex;
  for (unsigned int i = 0; i < digest_bytes; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace stint
