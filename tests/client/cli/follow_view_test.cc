#include "client/cli/follow_view.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

class FollowViewTest : public ::testing::Test {
 protected:
  v1::JobEvent Event() {
    v1::JobEvent event;
    event.mutable_time()->set_seconds(++seconds_);
    return event;
  }
  void Run(FollowView& view) {
    v1::JobEvent event = Event();
    event.mutable_state_change()->set_to(v1::Job::STATE_RUNNING);
    view.OnEvent(event, now_);
    for (int step = 1; step <= 30; ++step) {
      event = Event();
      auto& progress = *event.mutable_progress();
      progress.set_phase(step <= 15 ? "growing" : "shrinking");
      progress.set_fraction(step / 30.0);
      progress.set_steps_per_second(2.5);
      progress.set_unit("trees");
      progress.set_seconds_left(30 - step);
      view.OnEvent(event, now_);
    }
  }
  std::string Text() const {
    std::string all;
    for (const std::string& piece : written_) all += piece;
    return all;
  }
  auto Writer() {
    return [this](const std::string& text) { written_.push_back(text); };
  }

  int64_t seconds_ = 1700000000;
  absl::Time now_ = absl::FromUnixSeconds(1800000000);
  std::vector<std::string> written_;
};

TEST_F(FollowViewTest, PlainOutputIsOccasionalAndWithoutEscapes) {
  FollowView view("job-1", Terminal(), Writer());
  Run(view);
  view.Finish();
  const std::string text = Text();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  // One change of state; growing at 0, 10 s; shrinking at 15, 25 s.
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_NE(text.find("RUNNING"), std::string::npos);
  EXPECT_NE(text.find("job-1  shrinking  ██████████░░░░░░░░░░  53%  2.5 trees/s  14 s left"),
            std::string::npos)
      << text;
}

TEST_F(FollowViewTest, LiveLineOverwritesItselfAndIsRemovedAtTheEnd) {
  Terminal terminal;
  terminal.interactive = true;
  terminal.width = 60;
  FollowView view("job-1", terminal, Writer());
  now_ = absl::FromUnixSeconds(1700000000);
  Run(view);
  view.Finish();
  EXPECT_EQ(written_.back(), "\r\x1b[K");
  const std::string text = Text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  for (const std::string& piece : written_) EXPECT_LT(DisplayWidth(piece), 62);
}

TEST_F(FollowViewTest, OldEventsDoNotRedrawEachTime) {
  Terminal terminal;
  terminal.interactive = true;
  terminal.width = 80;
  FollowView view("job-1", terminal, Writer());
  Run(view);
  EXPECT_LE(written_.size(), 3u);
}

TEST_F(FollowViewTest, LogLinesCannotSteerTheTerminal) {
  FollowView view("job-1", Terminal(), Writer());
  v1::JobEvent event = Event();
  event.mutable_log()->set_text("evil \x1b[2J\x1b]0;x\x07 line\nsecond");
  view.OnEvent(event, now_);
  EXPECT_EQ(Text(), "evil ]0;x line\nsecond\n");
}

TEST_F(FollowViewTest, GathersCurvesWithinBounds) {
  FollowView view("job-1", Terminal(), Writer());
  for (int step = 0; step < 50000; ++step) {
    v1::JobEvent event = Event();
    auto* point = event.mutable_metrics()->add_points();
    point->set_name("loss");
    point->set_step(step);
    point->set_value(step);
    view.OnEvent(event, now_);
  }
  const Curve& curve = view.curves().at("loss");
  EXPECT_LE(curve.size(), 20000u);
  EXPECT_EQ(curve.front().first, 0);
  EXPECT_EQ(curve.back().first, 49999);
}

TEST(ProgressTextTest, ShowsTheLatestMetricsAndFits) {
  v1::Progress progress;
  progress.set_phase("fit");
  progress.set_fraction(2);
  progress.set_seconds_left(-1);
  const std::vector<std::pair<std::string, double>> latest = {{"loss", 0.25}, {"auc", 0.9}};
  EXPECT_EQ(ProgressText("j", v1::Job::STATE_RUNNING, progress, latest, Terminal()),
            "j  fit  ████████████████████ 100%  loss 0.25  auc 0.9");
  EXPECT_EQ(ProgressText("j", v1::Job::STATE_RUNNING, progress,
                         {{"cv/fold_1/loss", 1}, {"cv/loss", 2}}, Terminal()),
            "j  fit  ████████████████████ 100%  cv/loss 2  cv/fold_1/loss 1");
  Terminal narrow;
  narrow.width = 30;
  EXPECT_LE(DisplayWidth(ProgressText("j", v1::Job::STATE_RUNNING, progress, latest, narrow)), 29);
  EXPECT_EQ(ProgressText("j", v1::Job::STATE_QUEUED, progress, latest, Terminal()), "j  QUEUED");
}

}  // namespace
}  // namespace trainyard::cli
