#include "core/model_io/piecewise_file.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/secret.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

absl::Status WriteParts(const std::filesystem::path& file, std::span<const std::string_view> parts,
                        const std::function<absl::Status()>& check, FileSystem& files) {
  size_t total = 0;
  for (const std::string_view part : parts) total += part.size();
  TY_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> writer,
                      files.Create(file, static_cast<int64_t>(total)));
  for (const std::string_view part : parts) {
    for (size_t begin = 0; begin < part.size(); begin += kPieceBytes) {
      if (check) TY_RETURN_IF_ERROR(check());
      TY_RETURN_IF_ERROR(writer->Append(part.substr(begin, kPieceBytes)));
    }
  }
  TY_RETURN_IF_ERROR(writer->Sync());
  return writer->Close();
}

}  // namespace

absl::Status WriteFilePiecewise(const std::filesystem::path& file,
                                std::span<const std::string_view> parts,
                                const std::function<absl::Status()>& check, FileSystem& files) {
  std::filesystem::path temporary = file;
  temporary += absl::StrCat(".", RandomHexToken(6), ".tmp");
  absl::Status written = WriteParts(temporary, parts, check, files);
  if (written.ok()) written = files.Rename(temporary, file);
  if (!written.ok()) {
    (void)files.Remove(temporary);
    return written;
  }
  return files.SyncFolder(file.has_parent_path() ? file.parent_path() : ".");
}

}  // namespace trainyard
