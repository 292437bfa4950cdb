#include "files/training_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "files/pickle.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "tests/files/small_state.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Words(const TensorView& tensor) {
  std::string words(SafetensorsName(tensor.dtype));
  for (const std::int64_t size : tensor.sizes) words += " " + std::to_string(size);
  return words;
}

TEST(TrainingStateTest, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  const SmallState small(5);
  WriteTrainingState(folder / "checkpoint.pth", small.state);

  const LoadedTrainingState loaded = ReadTrainingState(folder / "checkpoint.pth");
  loaded.file->CheckChecksums();
  const TrainingState& state = loaded.state;
  EXPECT_EQ(state.epoch, 2);
  EXPECT_EQ(state.step, 5);
  ASSERT_EQ(state.model.size(), 2U);
  EXPECT_EQ(state.model[0].name, "conv.weight");
  EXPECT_EQ(Words(state.model[0].tensor), "F32 3 2");
  EXPECT_EQ(Words(state.model[1].tensor), "BF16 3");
  EXPECT_TRUE(std::ranges::equal(state.model[1].tensor.data, std::as_bytes(std::span(small.bias))));
  ASSERT_EQ(state.optimizer.moments.size(), 2U);
  EXPECT_EQ(state.optimizer.moments[1].step, 5);
  EXPECT_EQ(Words(state.optimizer.moments[0].exp_avg_sq), "F32 3 2");
  EXPECT_EQ(state.optimizer.learning_rate, 1e-4);
  EXPECT_EQ(state.optimizer.beta2, 0.999);
  EXPECT_EQ(state.ema.size(), 1U);
  EXPECT_EQ(state.scheduler, small.state.scheduler);
  EXPECT_EQ(state.rng, small.state.rng);
  EXPECT_EQ(state.data_order, small.state.data_order);
}

TEST(TrainingStateTest, TensorsAreAlignedTo64BytesAsTorchSaveAlignsThem) {
  const TemporaryFolder folder;
  WriteTrainingState(folder / "checkpoint.pth", SmallState(1).state);
  const LoadedTrainingState loaded = ReadTrainingState(folder / "checkpoint.pth");
  for (const NamedTensor& tensor : loaded.state.model) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.tensor.data.data()) % 64, 0U) << tensor.name;
  }
}

TEST(TrainingStateTest, EqualStatesAreEqualFiles) {
  const TemporaryFolder folder;
  WriteTrainingState(folder / "a.pth", SmallState(1).state);
  WriteTrainingState(folder / "b.pth", SmallState(1).state);
  EXPECT_EQ(ReadText(folder / "a.pth"), ReadText(folder / "b.pth"));
}

TEST(PthTest, ReadsItsOwnArchivesOf64BitNumbers) {
  const TemporaryFolder folder;
  const SmallState small(3);
  WritePth(folder / "wide.pth", {PthDict{{{"w"}, {small.state.model[0].tensor}}}}, 0);
  const PthFile file(folder / "wide.pth");
  file.CheckChecksums();
  const auto& tensor = std::get<TensorView>(file.root().Find("w")->value);
  EXPECT_TRUE(std::ranges::equal(tensor.data, std::as_bytes(std::span(small.weight))));
}

std::string Refusal(const std::string& pickle) {
  try {
    ParsePickle(
        pickle, [](const PickledStorage&) { return std::span<const std::byte>(); }, "p");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(PthTest, NamesWhatAPickleWouldHaveCalledAndDoesNotCallIt) {
  // What pickle.dumps gives for an object whose __reduce__ returns (os.system, ("true",)).
  EXPECT_EQ(Refusal("\x80\x02"
                    "cposix\nsystem\nX\x04\x00\x00\x00true\x85R."),
            "p:byte 16: names posix.system, which is neither a tensor nor a container: it is not "
            "executed");
  EXPECT_THAT(Refusal("c__builtin__\neval\n(tR."), HasSubstr("names __builtin__.eval"));
}

TEST(PthTest, RefusesPicklesThatWouldEatMemoryOrStack) {
  EXPECT_THAT(Refusal(std::string(100, ']') + std::string(99, 'a') + "."),
              HasSubstr("is nested too deeply"));
  std::string wraps = ")";
  for (int i = 0; i < 100; ++i) wraps += "\x85";
  EXPECT_THAT(Refusal(wraps + "."), HasSubstr("is nested too deeply"));
  // A text of 1 MiB put aside and taken back 100 times.
  std::string text("X\x00\x00\x10\x00", 5);
  text += std::string(1 << 20, 'x') + std::string("q\x00", 2);
  for (int i = 0; i < 100; ++i) text += std::string("h\x00", 2);
  EXPECT_THAT(Refusal("(" + text + "t."), HasSubstr("uses long texts too often"));
}

TEST(PthTest, RefusesMalformedPickles) {
  EXPECT_EQ(Refusal(""), "p:byte 0: is cut off");
  EXPECT_EQ(Refusal("a."), "p:byte 1: takes a value that is not there");
  EXPECT_EQ(Refusal("K\x01K\x02."), "p:byte 5: ends with more or less than one value");
  EXPECT_EQ(Refusal("}(K\x01u."), "p:byte 5: has a key without a value");
  EXPECT_EQ(Refusal("K\x01K\x02"
                    "a."),
            "p:byte 5: adds to what is not a list");
  EXPECT_EQ(Refusal("ctorch\nFloatStorage\n."),
            "p:byte 21: has something else where a value is expected");
  EXPECT_THAT(Refusal("\x93."), HasSubstr("has the pickle code 0x93"));
  EXPECT_EQ(Refusal("K\x01."), "accepted");
}

TEST(TrainingStateTest, RefusesFilesThatAreCutOffOrOfAnotherKind) {
  const TemporaryFolder folder;
  WriteTrainingState(folder / "a.pth", SmallState(1).state);
  const std::string text = ReadText(folder / "a.pth");
  for (std::size_t size = 0; size < text.size(); size += 41) {
    std::ofstream(folder / "cut.pth", std::ios::binary) << text.substr(0, size);
    EXPECT_THROW(ReadTrainingState(folder / "cut.pth"), InputError) << size;
  }
  WritePth(folder / "other.pth", {PthDict{{{"epoch"}, {std::string("one")}}}});
  try {
    ReadTrainingState(folder / "other.pth");
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("other.pth:/epoch: is not an integer"));
  }
}

}  // namespace
}  // namespace stint
