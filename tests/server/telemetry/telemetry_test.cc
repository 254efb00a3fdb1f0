// Log lines and metrics.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "server/telemetry/job_metrics.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics_endpoint.h"
#include "server/telemetry/rpc_metrics.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kTime = absl::FromUnixMicros(1'600'000'000'000'001);

TEST(LogTest, TextLinesQuoteWhatIsNotPlain) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, kTime, LogLevel::kWarning, "job ended",
                          {{"job", "projects/p/jobs/j"}, {"error", "a \"b\"\nc"}, {"none", ""}}),
            "2020-09-13T12:26:40.000001Z warning job ended job=projects/p/jobs/j "
            "error=\"a \\\"b\\\"\\nc\"\n");
}

TEST(LogTest, JsonLinesAreJson) {
  const std::string line = FormatLogLine(LogFormat::kJson, kTime, LogLevel::kInfo, "x \"y\" \x01",
                                         {{"job", "projects/p/jobs/j"}, {"text", "tab\tß"}});
  google::protobuf::Struct object;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, &object).ok()) << line;
  EXPECT_EQ(object.fields().at("level").string_value(), "info");
  EXPECT_EQ(object.fields().at("message").string_value(), "x \"y\" \x01");
  EXPECT_EQ(object.fields().at("text").string_value(), "tab\tß");
}

TEST(LogTest, LevelAndSink) {
  std::string lines;
  LogOptions options;
  options.level = LogLevel::kWarning;
  options.sink = [&](std::string_view line) { lines += line; };
  ConfigureLog(options);
  LogInfo("quiet");
  LogError("loud");
  ConfigureLog(LogOptions());
  EXPECT_THAT(lines, HasSubstr("loud"));
  EXPECT_THAT(lines, Not(HasSubstr("quiet")));
}

std::string Exposition(const prometheus::Registry& registry) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, registry.Collect());
  return text.str();
}

TEST(JobMetricsTest, CountsStatesCausesAndSlots) {
  prometheus::Registry registry;
  JobMetrics metrics(registry);
  metrics.OnJobState("flash", v1::Job::STATE_UNSPECIFIED, v1::Job::STATE_QUEUED);
  metrics.OnJobState("flash", v1::Job::STATE_QUEUED, v1::Job::STATE_STARTING);
  metrics.OnAttemptEnd("flash", v1::Attempt::END_CAUSE_OUT_OF_MEMORY, absl::Seconds(2));
  metrics.OnDispatch("flash", absl::Seconds(3));
  v1::Queue queue;
  queue.set_queued_count(7);
  queue.mutable_capacity()->set_cpu_threads(4);
  queue.mutable_in_use()->set_cpu_threads(1);
  metrics.SetQueue(queue);
  const std::string text = Exposition(registry);
  for (const char* line :
       {"trainyard_jobs{algorithm=\"flash\",state=\"queued\"} 0",
        "trainyard_jobs{algorithm=\"flash\",state=\"starting\"} 1",
        "trainyard_attempts_ended_total{algorithm=\"flash\",cause=\"out_of_memory\"} 1",
        "trainyard_queue_wait_seconds_count{algorithm=\"flash\"} 1", "trainyard_queue_jobs 7",
        "trainyard_slots{resource=\"cpu\",use=\"free\"} 3",
        "trainyard_slots{resource=\"cpu\",use=\"busy\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(RpcMetricsTest, CountsCodesAndLatencies) {
  prometheus::Registry registry;
  RpcMetrics metrics(registry);
  RpcStats* unary = metrics.Method("JobService/GetJob", RpcMetrics::Kind::kUnary);
  RpcStats* stream = metrics.Method("JobService/WatchJob", RpcMetrics::Kind::kStream);
  unary->OnStart();
  unary->OnEnd(absl::StatusCode::kNotFound, absl::Milliseconds(3));
  stream->OnStart();
  const std::string text = Exposition(registry);
  EXPECT_THAT(text, HasSubstr("trainyard_rpc_handled_total{code=\"NOT_FOUND\",method=\"JobService/"
                              "GetJob\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("trainyard_rpc_latency_seconds_count{method=\"JobService/GetJob\"} 1"));
  EXPECT_THAT(text, HasSubstr("trainyard_rpc_in_flight{method=\"JobService/WatchJob\"} 1"));
  EXPECT_THAT(text, HasSubstr("trainyard_rpc_in_flight{method=\"JobService/GetJob\"} 0"));
}

TEST(MetricsEndpointTest, PortInUseIsAnError) {
  const auto registry = std::make_shared<prometheus::Registry>();
  const auto first = MetricsEndpoint::Start("127.0.0.1:0", registry, [] {});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = MetricsEndpoint::Start((*first)->address(), registry, [] {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
}

}  // namespace
}  // namespace trainyard
