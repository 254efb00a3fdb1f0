// ServerService.
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "proto/schema/resource_names.h"
#include "server/api/algorithm_docs.h"
#include "server/api/call.h"
#include "server/api/request_checks.h"
#include "server/api/services.h"
#include "trainyard/v1/server_service.grpc.pb.h"

namespace trainyard {
namespace {

using Base = v1::ServerService::WithCallbackMethod_GetServerInfo<
    v1::ServerService::WithCallbackMethod_ListAlgorithms<
        v1::ServerService::WithCallbackMethod_GetAlgorithm<
            v1::ServerService::WithCallbackMethod_GetQueue<v1::ServerService::Service>>>>;

class ServerService final : public Base {
 public:
  explicit ServerService(const ServiceContext& context)
      : context_(context),
        info_(Method("GetServerInfo")),
        list_(Method("ListAlgorithms")),
        get_(Method("GetAlgorithm")),
        queue_(Method("GetQueue")) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest*,
                                          v1::ServerInfo* response) override {
    return AnswerNow<v1::ServerInfo>(context, CallRecord(info_), context_.info, response);
  }

  grpc::ServerUnaryReactor* ListAlgorithms(grpc::CallbackServerContext* context,
                                           const v1::ListAlgorithmsRequest*,
                                           v1::ListAlgorithmsResponse* response) override {
    v1::ListAlgorithmsResponse answer;
    for (const std::string& name : context_.info.algorithms()) {
      *answer.add_algorithms() = SummariseAlgorithm(*context_.spec.find_algorithm(name));
    }
    return AnswerNow<v1::ListAlgorithmsResponse>(context, CallRecord(list_), std::move(answer),
                                                 response);
  }

  grpc::ServerUnaryReactor* GetAlgorithm(grpc::CallbackServerContext* context,
                                         const v1::GetAlgorithmRequest* request,
                                         v1::Algorithm* response) override {
    return AnswerNow(context, CallRecord(get_), Describe(request->algorithm()), response);
  }

  grpc::ServerUnaryReactor* GetQueue(grpc::CallbackServerContext* context,
                                     const v1::GetQueueRequest* request,
                                     v1::Queue* response) override {
    return AnswerNow(context, CallRecord(queue_), QueueOf(request->parent()), response);
  }

 private:
  RpcStats* Method(const char* method) const {
    return context_.metrics->Method(absl::StrCat("ServerService/", method),
                                    RpcMetrics::Kind::kUnary);
  }

  absl::StatusOr<v1::Algorithm> Describe(const std::string& name) const {
    for (const std::string& offered : context_.info.algorithms()) {
      if (offered == name) return DescribeAlgorithm(*context_.spec.find_algorithm(name));
    }
    return WithReason(absl::NotFoundError(absl::StrCat(
                          "this server has no algorithm '", absl::CHexEscape(name.substr(0, 100)),
                          "'; it trains ", context_.spec.algorithm_names)),
                      "ALGORITHM_NOT_FOUND");
  }

  absl::StatusOr<v1::Queue> QueueOf(const std::string& parent) const {
    if (parent.empty()) return context_.jobs->QueueState("");
    Violations violations;
    const ProjectName name = ParseName<ProjectName>("parent", parent, violations);
    if (!violations.empty()) return violations.ToStatus();
    return context_.jobs->QueueState(name.project);
  }

  const ServiceContext context_;
  RpcStats* const info_;
  RpcStats* const list_;
  RpcStats* const get_;
  RpcStats* const queue_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeServerService(const ServiceContext& context) {
  return std::make_unique<ServerService>(context);
}

}  // namespace trainyard
