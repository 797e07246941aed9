#include "dualscape/study/study_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "dualscape/base/error.hpp"

namespace dualscape::study {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class StudyFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() / ("dualscape_study_" + std::to_string(::getpid()));
    fs::create_directories(path_);
  }
  void TearDown() override { fs::remove_all(path_); }

  std::string refusal(StudyLock::Share share) const {
    try {
      const StudyLock lock(folder(), share);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  }
  StudyFolder folder() const { return StudyFolder(path_); }

  fs::path path_;
};

TEST_F(StudyFolderTest, IsForOneStudyOrForPartsOfIt) {
  using enum StudyLock::Share;
  {
    const StudyLock alone(folder(), StudyLock::Share::alone);
    EXPECT_TRUE(alone.holds());
    EXPECT_THAT(refusal(StudyLock::Share::alone),
                HasSubstr(", process " + std::to_string(::getpid()) + ", since "));
    EXPECT_NE(refusal(with_other_parts), "");
  }
  const StudyLock part(folder(), with_other_parts);
  EXPECT_EQ(refusal(with_other_parts), "");
  EXPECT_THAT(refusal(StudyLock::Share::alone), HasSubstr("is in use: a study is at work in it (host "));
}

TEST_F(StudyFolderTest, TellsARunAtWorkFromOneThatWasKilled) {
  EXPECT_EQ(folder().standing(3).state, RunState::waiting);
  const RunFolder run = folder().run(3);
  EXPECT_EQ(run.path(), path_ / "runs/00003");
  std::optional<FolderLock> lock(run.lock());
  run.set_status(Progression::running, "");
  EXPECT_EQ(folder().standing(3).state, RunState::running);
  EXPECT_THROW(static_cast<void>(run.lock()), UsageError);
  lock.reset();
  EXPECT_EQ(folder().standing(3).state, RunState::interrupted);
  EXPECT_EQ(folder().standing(3).reason, "its process is gone");

  run.set_status(Progression::failed, "for a reason: a good one");
  EXPECT_EQ(folder().standing(3).state, RunState::failed);
  EXPECT_EQ(folder().standing(3).reason, "for a reason: a good one");
  std::ofstream(run.status()).close();
  EXPECT_EQ(folder().standing(3).state, RunState::interrupted);
  run.set_status(Progression::done, "");
  EXPECT_EQ(folder().standing(3).state, RunState::interrupted) << "there is no result";
  std::ofstream(run.result()).close();
  EXPECT_EQ(folder().standing(3).state, RunState::done);
}

TEST_F(StudyFolderTest, KeepsTheStudyItHolds) {
  const std::string deck = "[output]\ndirectory = \"a\"\n[study]\nrepeats = 2\nranks_per_run = 1\n";
  const std::string elsewhere = "[output]\ndirectory = \"b\"\n[study]\nrepeats = 2\nranks_per_run = 4\n";
  const std::string other = "[output]\ndirectory = \"a\"\n[study]\nrepeats = 3\nranks_per_run = 1\n";
  EXPECT_NO_THROW(folder().check(deck, false, false));
  folder().prepare("original", deck, false);
  EXPECT_THROW(folder().check(deck, false, false), UsageError);
  EXPECT_NO_THROW(folder().check(elsewhere, true, false));
  EXPECT_THROW(folder().check(other, true, false), UsageError);
  EXPECT_NO_THROW(folder().check(other, false, true));
  fs::create_directories(path_ / "runs/00007");
  folder().prepare("other", other, true);
  EXPECT_FALSE(fs::exists(path_ / "runs/00007"));
  EXPECT_EQ(read_file(folder().deck_resolved()), other);
  std::ofstream(path_ / "result.h5").close();
  EXPECT_THROW(folder().check(other, true, false), UsageError);
}

}  // namespace
}  // namespace dualscape::study
