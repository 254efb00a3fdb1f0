// trainyard server …
#include <algorithm>
#include <memory>
#include <string>

#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/resource_text.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {
namespace {

absl::StatusOr<int> Info(Context& context) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::ServerInfo info, client->GetServerInfo());
  context.Print(info, [&] { return ServerInfoText(info, context.out); });
  return kSuccess;
}

absl::StatusOr<int> Algorithms(Context& context, std::string algorithm) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  if (algorithm.empty()) {
    CLIENT_ASSIGN_OR_RETURN(const auto list, client->ListAlgorithms());
    context.Print(list, [&] { return AlgorithmsText(list, context.out); });
    return kSuccess;
  }
  std::replace(algorithm.begin(), algorithm.end(), '-', '_');
  CLIENT_ASSIGN_OR_RETURN(const v1::Algorithm found, client->GetAlgorithm(algorithm));
  context.Print(found, [&] { return AlgorithmText(found, context.out); });
  return kSuccess;
}

absl::StatusOr<int> ShowQueue(Context& context, bool whole_server) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Queue queue,
                          client->GetQueue(whole_server ? "" : context.Parent()));
  context.Print(queue, [&] { return QueueText(queue, context.out); });
  return kSuccess;
}

}  // namespace

void AddServerCommand(CLI::App& app, Context& context) {
  CLI::App& server = AddCommand(app, context, "server", "Look at the server.",
                                "trainyard server info\ntrainyard server queue", {});
  AddCommand(server, context, "info", "Show version, limits and devices.", "trainyard server info",
             [&context] { return Info(context); });
  auto algorithm = std::make_shared<std::string>();
  AddCommand(server, context, "algorithms", "List the algorithms, or show the fields of one.",
             "trainyard server algorithms\ntrainyard server algorithms hierarchical-shrinkage",
             [=, &context] { return Algorithms(context, *algorithm); })
      .add_option("ALGORITHM", *algorithm, "Name of an algorithm");
  auto whole = std::make_shared<bool>(false);
  AddCommand(server, context, "queue", "Show what waits and what runs.",
             "trainyard server queue\ntrainyard server queue --all-projects",
             [=, &context] { return ShowQueue(context, *whole); })
      .add_flag("--all-projects", *whole, "Of the whole server, not of one project");
}

}  // namespace trainyard::cli
