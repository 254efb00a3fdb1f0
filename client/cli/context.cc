#include "client/cli/context.h"

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/errors.h"
#include "client/cli/json.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/resource_names.h"

namespace trainyard::cli {
namespace {

// The full name of a resource of type `Name`, which `text` is or whose `id` it is.
template <typename Name>
absl::StatusOr<std::string> FullName(std::string_view text, const Name& from_id,
                                     std::string_view id, std::string_view what) {
  if (text.find('/') != text.npos) {
    const absl::StatusOr<Name> name = Name::Parse(text);
    if (!name.ok()) return AsUsageError(name.status(), what);
    return name->ToString();
  }
  CLIENT_RETURN_IF_ERROR(AsUsageError(CheckResourceId(id), what));
  CLIENT_RETURN_IF_ERROR(AsUsageError(CheckResourceId(from_id.project), "--project"));
  return from_id.ToString();
}

}  // namespace

void WriteOut(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

absl::StatusOr<Client*> Context::Connect() {
  if (client_ != nullptr) return client_.get();
  ClientOptions client_options;
  client_options.on_warning = [this](const std::string& text) {
    Note(absl::StrCat(err.Paint("warning:", Colour::kYellow), " ", Printable(text), "\n"));
  };
  CLIENT_RETURN_IF_ERROR(AsUsageError(CheckResourceId(options.project), "--project"));
  auto client = Client::Connect(options.server, std::move(client_options));
  if (!client.ok()) {
    const std::string where = absl::StrCat("server ", options.server, ": ");
    const char* hint = absl::IsUnavailable(client.status())
                           ? "\n--server or TRAINYARD_SERVER say where the server is"
                           : "";
    absl::Status status(client.status().code(),
                        absl::StrCat(where, client.status().message(), hint));
    client.status().ForEachPayload(
        [&](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
    return absl::IsInvalidArgument(status) ? UsageError(std::string(status.message())) : status;
  }
  client_ = *std::move(client);
  return client_.get();
}

std::string Context::Parent() const { return absl::StrCat("projects/", options.project); }

absl::StatusOr<std::string> Context::JobNameOf(std::string_view text) const {
  return FullName(text, JobName{options.project, std::string(text)}, text, "job");
}

absl::StatusOr<std::string> Context::ModelNameOf(std::string_view text) const {
  return FullName(text, ModelName{options.project, std::string(text)}, text, "model");
}

absl::StatusOr<std::string> Context::DatasetNameOf(std::string_view text) const {
  const size_t at = text.find('@');
  DatasetName name{options.project, std::string(text.substr(0, at)), 0};
  if (at != text.npos && text.find('/') == text.npos) {
    const std::string version(text.substr(at + 1));
    if (!absl::SimpleAtoi(version, &name.version) || name.version < 1) {
      return UsageError(absl::StrCat("data set: the version \"", Printable(version),
                                     "\" is not a number from 1"));
    }
  }
  return FullName(text, name, name.dataset, "data set");
}

void Context::Print(const google::protobuf::Message& message,
                    const std::function<std::string()>& human) const {
  if (options.json) {
    WriteOut(ToJson(message));
  } else if (!options.quiet) {
    WriteOut(human());
  }
}

void Context::Say(std::string_view text) const {
  if (!options.json && !options.quiet) WriteOut(text);
}

void Context::Note(std::string_view text) const {
  if (options.json || options.quiet) return;
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace trainyard::cli
