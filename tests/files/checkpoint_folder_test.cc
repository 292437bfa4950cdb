#include "files/checkpoint_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "ir/errors.h"
#include "tests/files/small_state.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

std::vector<std::string> Names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

TEST(CheckpointFolderTest, KeepsTheLastKAndALinkToTheNewest) {
  const TemporaryFolder folder;
  for (const std::int64_t step : {10, 20, 30}) {
    SaveTrainingState(folder / "run", SmallState(step).state, 2);
  }
  EXPECT_THAT(Names(folder / "run"),
              ElementsAre("checkpoint-00000020.pth", "checkpoint-00000030.pth", "checkpoint.pth"));
  EXPECT_EQ(ReadTrainingState(folder / "run/checkpoint.pth").state.step, 30);
  EXPECT_EQ(FindNewestState(folder / "run"), folder / "run/checkpoint-00000030.pth");
  // Resumed from 20: the state of 30 belongs to a life that is over.
  SaveTrainingState(folder / "run", SmallState(25).state, 2);
  EXPECT_THAT(Names(folder / "run"),
              ElementsAre("checkpoint-00000020.pth", "checkpoint-00000025.pth", "checkpoint.pth"));
}

TEST(CheckpointFolderTest, NewestPassesOverDamagedAndHalfWrittenFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(FindNewestState(folder.path()), std::nullopt);
  EXPECT_EQ(FindNewestState(folder / "nowhere"), std::nullopt);
  SaveTrainingState(folder.path(), SmallState(10).state, 5);
  std::ofstream(folder / "checkpoint-00000020.pth") << "PK";
  std::ofstream(folder / ".checkpoint-00000030.pth.1.tmp") << "PK";
  fs::copy(folder / "checkpoint-00000010.pth", folder / "checkpoint-00000040.pth");  // Says 10.
  EXPECT_EQ(FindNewestState(folder.path()), folder / "checkpoint-00000010.pth");
}

TEST(CheckpointFolderTest, RemovesWhatDeadProcessesLeft) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  const std::string dead = ".checkpoint-00000001.pth." + std::to_string(child) + ".tmp";
  const std::string alive = ".checkpoint-00000001.pth." + std::to_string(getpid()) + ".tmp";
  for (const std::string& name : {dead, alive, std::string(".other.tmp")}) {
    std::ofstream(folder / name) << "x";
  }
  CleanCheckpointFolder(folder.path());
  EXPECT_THAT(Names(folder.path()), ElementsAre(alive, ".other.tmp"));
}

TEST(CheckpointFolderTest, AFullDiskKeepsTheOldStateAndSaysSo) {
  const TemporaryFolder folder;
  SaveTrainingState(folder.path(), SmallState(1).state, 1);
  const auto full = static_cast<rlim_t>(fs::file_size(folder / "checkpoint-00000001.pth"));
  rlimit limit = {};
  getrlimit(RLIMIT_FSIZE, &limit);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  int refusal_count = 0;
  for (rlim_t byte = 0; byte < full; byte += 111) {
    const rlimit small = {.rlim_cur = byte, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    try {
      SaveTrainingState(folder.path(), SmallState(2).state, 1);
    } catch (const InputError& error) {
      refusal_count += std::string(error.what()).ends_with("cannot be written (File too large)");
    }
    setrlimit(RLIMIT_FSIZE, &limit);
    ASSERT_THAT(Names(folder.path()), ElementsAre("checkpoint-00000001.pth", "checkpoint.pth"));
  }
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(refusal_count, static_cast<int>((full + 110) / 111));
  EXPECT_EQ(ReadTrainingState(folder / "checkpoint.pth").state.step, 1);
}

/// Saves states of ever larger steps until it is killed.
[[noreturn]] void SaveForever(const fs::path& folder, std::int64_t step) {
  try {
    while (true) SaveTrainingState(folder, SmallState(++step).state, 2);
  } catch (...) {
    _exit(1);
  }
}

TEST(CheckpointFolderTest, TheNewestStateIsReadableAfterEachOf200Kills) {
  const TemporaryFolder folder;
  SaveTrainingState(folder.path(), SmallState(1).state, 2);
  std::mt19937 random(6);
  std::int64_t newest = 1;
  int half_written_count = 0;
  useconds_t window_us = 4000;  // Follows the disk: in about half of the kills a save gets through.
  for (int kill_count = 0; kill_count < 200; ++kill_count) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) SaveForever(folder.path(), newest);
    usleep(static_cast<useconds_t>(random() % window_us));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed to save";

    for (const std::string& name : Names(folder.path()))
      half_written_count += name.ends_with(".tmp");
    const auto path = FindNewestState(folder.path());
    ASSERT_TRUE(path);
    const LoadedTrainingState loaded = ReadTrainingState(*path);
    loaded.file->CheckChecksums();
    ASSERT_GE(loaded.state.step, newest);
    window_us = loaded.state.step > newest ? std::max<useconds_t>(window_us * 3 / 4, 1000)
                                           : std::min<useconds_t>(window_us * 5 / 4, 200'000);
    newest = loaded.state.step;
    const SmallState expected(newest);
    ASSERT_TRUE(std::ranges::equal(loaded.state.model[0].tensor.data,
                                   std::as_bytes(std::span(expected.weight))));
    ReadTrainingState(folder / "checkpoint.pth");
    CleanCheckpointFolder(folder.path());
    for (const std::string& name : Names(folder.path())) ASSERT_FALSE(name.ends_with(".tmp"));
  }
  EXPECT_GT(newest, 1) << "no child ever saved";
  EXPECT_GT(half_written_count, 0) << "no kill fell into a save";
}

TEST(BackgroundSaverTest, SavesOneAtATimeAndReportsErrors) {
  BackgroundSaver saver;
  saver.Wait();
  std::atomic<int> running = 0, most = 0, done = 0;
  for (int i = 0; i < 5; ++i) {
    saver.Start([&] {
      most = std::max(most.load(), ++running);
      usleep(1000);
      --running;
      ++done;
    });
  }
  saver.Wait();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(done, 5);
  EXPECT_FALSE(saver.IsBusy());

  saver.Start([] { throw InputError("checkpoint.pth", "cannot be written"); });
  EXPECT_THROW(saver.Start([&] { ++done; }), InputError);
  saver.Wait();
  EXPECT_EQ(done, 5);
}

}  // namespace
}  // namespace stint
