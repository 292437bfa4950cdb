// Whatever stands in a foreign file, reading it gives a valid profile or one line that says why
// not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/foreign_graph.h"
#include "tests/support/foreign_texts.h"

namespace stint {
namespace {

const std::vector<std::string>& Texts() {
  static const std::vector<std::string> texts = {
      fixtures::kNodeLinkGraph, fixtures::kRandomLayeredGraph, fixtures::kDtrLog,
      fixtures::kChainerGraph,  fixtures::kCostGraph,          fixtures::kWholeStep};
  return texts;
}

class Damage {
 public:
  explicit Damage(std::uint32_t seed) : random_(seed) {}

  /// One to four of: another byte, a byte less, a number that is hostile, a line twice, a cut.
  std::string To(std::string text) {
    for (std::uint32_t count = 1 + random_() % 4; count > 0 && !text.empty(); --count) Once(text);
    return text;
  }

  std::uint32_t Draw(std::size_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

 private:
  void Once(std::string& text) {
    const std::size_t at = Draw(text.size());
    switch (Draw(5)) {
      case 0:
        text[at] = static_cast<char>(Draw(256));
        return;
      case 1:
        text.erase(at, 1 + Draw(3));
        return;
      case 2:
        ReplaceNumber(text, at);
        return;
      case 3:
        RepeatLine(text, at);
        return;
      default:
        if (Draw(4) == 0) text.resize(at);
    }
  }

  void ReplaceNumber(std::string& text, std::size_t from) {
    const std::vector<std::string> numbers = {
        "-1", "0", "1e999", "nan", "-0.5", "1e17", "9223372036854775807", "99999999999999999999",
        "3"};
    const std::size_t begin = text.find_first_of("0123456789", from);
    if (begin == std::string::npos) return;
    const std::size_t end = std::min(text.find_first_not_of("0123456789.", begin), text.size());
    text.replace(begin, end - begin, numbers[Draw(numbers.size())]);
  }

  static void RepeatLine(std::string& text, std::size_t from) {
    const std::size_t begin = text.rfind('\n', from);
    const std::size_t end = text.find('\n', from);
    if (begin == std::string::npos || end == std::string::npos || begin >= end) return;
    text.insert(end, text.substr(begin, end - begin));
  }

  std::mt19937 random_;
};

class ForeignGraphProperty : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(ForeignGraphProperty, DamagedTextIsReadWholeOrRefusedInOneLine) {
  Damage damage(GetParam());
  for (int i = 0; i < 400; ++i) {
    const std::string text = damage.To(Texts()[damage.Draw(Texts().size())]);
    try {
      const Profile profile =
          ForeignGraphFromText(text, "graph", {.has_separate_outputs = damage.Draw(2) == 0});
      Validate(profile);
      EXPECT_EQ(DeriveEffects(profile).size(), profile.ops.size());
    } catch (const InputError& error) {
      const std::string line = error.what();
      EXPECT_TRUE(line.starts_with("graph:")) << line;
      EXPECT_EQ(std::ranges::count(line, '\n'), 0) << line;
      EXPECT_LT(line.size(), 400U) << line;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ForeignGraphProperty, ::testing::Range(0U, 20U));

TEST(ForeignGraphEveryCut, IsReadWholeOrRefused) {
  for (const std::string& text : Texts()) {
    for (std::size_t length = 0; length < text.size(); ++length) {
      try {
        Validate(ForeignGraphFromText(text.substr(0, length), "graph"));
      } catch (const InputError& error) {
        EXPECT_TRUE(error.where().starts_with("graph")) << error.what();
      }
    }
  }
}

TEST(ForeignGraphDeepNesting, IsSkippedWithoutRecursion) {
  const std::string deep(1'000'000, '[');
  const std::string close(1'000'000, ']');
  const std::string text = std::string("{\"x\": ") + deep + close + ", \"nodes\": []}";

  EXPECT_THROW(ForeignGraphFromText(text, "graph"), InputError);
}

}  // namespace
}  // namespace stint
