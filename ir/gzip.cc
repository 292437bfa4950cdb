#include "ir/gzip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr int kGzipWindowBits = 15 + 16;  // zlib's way to say: largest window, gzip wrapper.
constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

/// Hands `text` to a zlib stream piece by piece: its own counter has 32 bits.
class Feed {
 public:
  Feed(z_stream& stream, std::string_view text) : stream_(stream), rest_(text) {}

  void Refill() {
    if (stream_.avail_in > 0 || rest_.empty()) return;
    const std::size_t count = std::min<std::size_t>(rest_.size(), std::size_t{1} << 30);
    // zlib promises not to write through next_in; its type lacks the const.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    stream_.avail_in = static_cast<uInt>(count);
    rest_.remove_prefix(count);
  }
  bool IsLast() const { return rest_.empty(); }
  bool IsEmpty() const { return rest_.empty() && stream_.avail_in == 0; }

 private:
  z_stream& stream_;
  std::string_view rest_;
};

struct Deflate {
  z_stream stream{};
  Deflate() {
    Check(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindowBits, 8,
                       Z_DEFAULT_STRATEGY) == Z_OK,
          "zlib starts a gzip stream");
  }
  ~Deflate() { deflateEnd(&stream); }
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
};

struct Inflate {
  z_stream stream{};
  Inflate() { Check(inflateInit2(&stream, kGzipWindowBits) == Z_OK, "zlib reads a gzip stream"); }
  ~Inflate() { inflateEnd(&stream); }
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
};

}  // namespace

std::string Gzip(std::string_view text) {
  Deflate deflater;
  z_stream& stream = deflater.stream;
  Feed feed(stream, text);
  std::string bytes;
  std::string chunk(kChunkBytes, '\0');
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    feed.Refill();
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    status = deflate(&stream, feed.IsLast() ? Z_FINISH : Z_NO_FLUSH);
    Check(status == Z_OK || status == Z_STREAM_END, "zlib compresses any text");
    bytes.append(chunk, 0, chunk.size() - stream.avail_out);
  }
  return bytes;
}

std::string Gunzip(std::string_view bytes, std::int64_t limit_bytes, const std::string& where) {
  Inflate inflater;
  z_stream& stream = inflater.stream;
  Feed feed(stream, bytes);
  std::string text;
  std::string chunk(kChunkBytes, '\0');
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    feed.Refill();
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_BUF_ERROR) throw InputError(where, "the gzip stream is cut off");
    if (status != Z_OK && status != Z_STREAM_END) {
      const char* reason = stream.msg != nullptr ? stream.msg : "unknown format";
      throw InputError(where, fmt::format("the gzip stream is damaged ({})", reason));
    }
    text.append(chunk, 0, chunk.size() - stream.avail_out);
    if (static_cast<std::int64_t>(text.size()) > limit_bytes) {
      throw InputError(where,
                       fmt::format("the gzip stream holds more than {}", FormatBytes(limit_bytes)));
    }
  }
  if (!feed.IsEmpty()) throw InputError(where, "something follows the gzip stream");
  return text;
}

}  // namespace stint
