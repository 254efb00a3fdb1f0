#include "core/data/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/data/parse_errors.h"

namespace trainyard {
namespace {

constexpr size_t kPiece = size_t{1} << 18;
constexpr int kGzipOnly = 15 + 16;  // window bits; 16 selects the gzip wrapper

class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&stream_, kGzipOnly) == Z_OK; }
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  bool ready() const { return ready_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

absl::Status Damaged(std::string_view what, size_t position) {
  return InvalidFile("file",
                     absl::StrCat("is gzip, but ", absl::string_view(what.data(), what.size()),
                                  " at byte ", position));
}

}  // namespace

bool LooksLikeGzip(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
}

absl::StatusOr<std::unique_ptr<GrowingBuffer>> Gunzip(std::string_view bytes, int64_t max_bytes) {
  auto output = std::make_unique<GrowingBuffer>();
  Inflater inflater;
  if (!inflater.ready()) return absl::ResourceExhaustedError("no memory to decompress");
  z_stream& stream = inflater.stream();
  size_t fed = 0;
  while (true) {
    if (stream.avail_in == 0 && fed < bytes.size()) {
      const size_t piece = std::min<size_t>(bytes.size() - fed, std::numeric_limits<int>::max());
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + fed));
      stream.avail_in = static_cast<uInt>(piece);
      fed += piece;
    }
    char* room = output->Reserve(kPiece);
    if (room == nullptr) return absl::ResourceExhaustedError("no memory to decompress");
    stream.next_out = reinterpret_cast<Bytef*>(room);
    stream.avail_out = kPiece;
    const int result = inflate(&stream, Z_NO_FLUSH);
    output->Commit(kPiece - stream.avail_out);
    const size_t position = fed - stream.avail_in;
    if (static_cast<int64_t>(output->bytes().size()) > max_bytes) {
      return InvalidFile("file", absl::StrCat("decompresses to more than ", max_bytes, " bytes"));
    }
    if (result == Z_STREAM_END) {
      const std::string_view rest = bytes.substr(position);
      // Zeros behind the last member are padding.
      if (rest.find_first_not_of('\0') == std::string_view::npos) return output;
      if (!LooksLikeGzip(rest)) return Damaged("something else follows", position);
      inflateReset(&stream);
    } else if (result == Z_BUF_ERROR && fed == bytes.size() && stream.avail_in == 0) {
      return Damaged("it is cut off", position);
    } else if (result == Z_MEM_ERROR) {
      return absl::ResourceExhaustedError("no memory to decompress");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return Damaged("it is damaged", position);
    }
  }
}

}  // namespace trainyard
