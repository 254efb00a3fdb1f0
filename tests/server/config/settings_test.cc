// Where settings come from and which source counts more.
#include "server/config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "absl/flags/reflection.h"
#include "server/config/byte_size.h"
#include "server/config/listen_address.h"
#include "server/storage/testing/temp_store.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class SettingsTest : public ::testing::Test {
 protected:
  absl::Status Read(std::vector<std::string> arguments,
                    std::map<std::string, std::string> environment = {}) {
    arguments.insert(arguments.begin(), "trainyard-server");
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    return ReadSettings(static_cast<int>(pointers.size()), pointers.data(),
                        [&](const std::string& name) -> std::optional<std::string> {
                          const auto found = environment.find(name);
                          if (found == environment.end()) return std::nullopt;
                          return found->second;
                        });
  }
  std::string ConfigFile(const std::string& text) {
    const auto file = folder_.path() / "server.conf";
    std::ofstream(file) << text;
    return "--config=" + file.string();
  }
  static std::string Message(const absl::Status& status) { return std::string(status.message()); }

  absl::FlagSaver saver_;
  TempFolder folder_;
};

TEST_F(SettingsTest, FlagCountsMoreThanEnvironmentThanFileThanDefault) {
  const std::string config = ConfigFile(
      "# a comment\n"
      "data_dir = \"/from/file\"\n"
      "cpu_slots=3\n"
      "max_queued_jobs = 5\n"
      "memory_limit = 2GiB\n"
      "insecure = true\n");
  ASSERT_TRUE(Read({config, "--data_dir=/from/flag"},
                   {{"TRAINYARD_DATA_DIR", "/from/environment"}, {"TRAINYARD_CPU_SLOTS", "4"}})
                  .ok());
  const auto settings = CurrentSettings();
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->data_dir, "/from/flag");
  EXPECT_EQ(settings->cpu_slots, 4);
  EXPECT_EQ(settings->max_queued_jobs, 5);
  EXPECT_EQ(settings->memory_limit, int64_t{2} << 30);
  EXPECT_TRUE(settings->insecure);
  EXPECT_EQ(settings->cancel_grace_seconds, 10);
}

TEST_F(SettingsTest, ConfigFileMayComeFromTheEnvironment) {
  const std::string config = ConfigFile("data_dir = /x\n").substr(9);
  ASSERT_TRUE(Read({}, {{"TRAINYARD_CONFIG", config}}).ok());
  EXPECT_EQ(CurrentSettings()->data_dir, "/x");
}

TEST_F(SettingsTest, WrongLinesAreNamed) {
  EXPECT_THAT(Message(Read({ConfigFile("data_dir = /x\ncolour = blue\n")})),
              HasSubstr("server.conf:2: there is no setting 'colour'"));
  EXPECT_THAT(Message(Read({ConfigFile("data_dir\n")})), HasSubstr("server.conf:1"));
  EXPECT_THAT(Message(Read({ConfigFile("cpu_slots = many\n")})), HasSubstr("'many'"));
  EXPECT_THAT(Message(Read({ConfigFile("config = /y\n")})), HasSubstr("no setting 'config'"));
  EXPECT_TRUE(absl::IsNotFound(Read({"--config=/does/not/exist"})));
  EXPECT_THAT(Message(Read({}, {{"TRAINYARD_CPU_SLOTS", "x"}})), HasSubstr("TRAINYARD_CPU_SLOTS"));
  EXPECT_THAT(Message(Read({"surplus"})), HasSubstr("surplus"));
}

TEST_F(SettingsTest, AllThatIsOutOfRangeIsNamedAtOnce) {
  Settings settings;
  settings.cpu_slots = -1;
  settings.cancel_grace_seconds = 1e9;
  settings.log_level = "loud";
  settings.listen = "nowhere";
  const std::string message = Message(CheckSettings(settings));
  EXPECT_THAT(message, HasSubstr("and 2 more"));
  settings = Settings();
  settings.data_dir = "/x";
  EXPECT_TRUE(CheckSettings(settings).ok());
}

TEST_F(SettingsTest, ListensElsewhereOnlyWhenToldThatItIsInsecure) {
  Settings settings;
  settings.data_dir = "/x";
  settings.listen = "0.0.0.0:7700";
  EXPECT_THAT(Message(CheckSettings(settings)), HasSubstr("--insecure"));
  settings.listen = "127.0.0.1:7700";
  settings.metrics_listen = "10.0.0.1:1";
  EXPECT_THAT(Message(CheckSettings(settings)), HasSubstr("metrics_listen"));
  settings.insecure = true;
  EXPECT_TRUE(CheckSettings(settings).ok());
}

TEST(ListenAddressTest, FormsAndLoopback) {
  EXPECT_TRUE(IsListenAddress("127.0.0.1:0"));
  EXPECT_TRUE(IsListenAddress("[::1]:65535"));
  EXPECT_FALSE(IsListenAddress("127.0.0.1"));
  EXPECT_FALSE(IsListenAddress("localhost:65536"));
  EXPECT_FALSE(IsListenAddress(":80"));
  EXPECT_TRUE(IsLoopback("localhost:1"));
  EXPECT_TRUE(IsLoopback("[::1]:1"));
  EXPECT_FALSE(IsLoopback("[::]:1"));
  EXPECT_FALSE(IsLoopback("example.org:1"));
}

TEST(ByteSizeTest, ParsesUnits) {
  ByteSize size;
  std::string error;
  EXPECT_TRUE(AbslParseFlag("3 MiB", &size, &error));
  EXPECT_EQ(size.bytes, 3 << 20);
  EXPECT_EQ(AbslUnparseFlag(size), "3MiB");
  EXPECT_EQ(AbslUnparseFlag(ByteSize{1000}), "1000");
  for (const char* wrong : {"", "-1", "1.5GiB", "GiB", "1GB", "99999999999TiB"}) {
    EXPECT_FALSE(AbslParseFlag(wrong, &size, &error)) << wrong;
  }
}

}  // namespace
}  // namespace trainyard
