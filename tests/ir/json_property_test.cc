#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

#include "ir/errors.h"
#include "ir/gzip.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"
#include "tests/support/graphs.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

class JsonProperty : public testing::TestWithParam<std::uint32_t> {};

TEST_P(JsonProperty, ProfileSurvivesTheRoundTrip) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const std::string text = ToJson(profile);

  const Profile read = ProfileFromJson(text, "text");

  EXPECT_EQ(ToJson(read), text);
  EXPECT_EQ(ProfileSha256(read), ProfileSha256(profile));
}

TEST_P(JsonProperty, PlanSurvivesTheRoundTrip) {
  const Plan plan = fixtures::RandomPlan(fixtures::RandomProfile(GetParam()), GetParam());
  const std::string text = ToJson(plan);

  const Plan read = PlanFromJson(text, "text");

  EXPECT_EQ(ToJson(read), text);
  EXPECT_EQ(PlanSha256(read), PlanSha256(plan));
}

/// Replaces, removes, doubles or inserts bytes, or cuts the text off.
std::string Damage(std::string text, std::mt19937& generator) {
  static const std::string kLikely = "{}[]\",:0123456789-.eE\\untf \n\x80\xff";
  const std::size_t edit_count = 1 + generator() % 3;
  for (std::size_t i = 0; i < edit_count && !text.empty(); ++i) {
    const std::size_t at = generator() % text.size();
    switch (generator() % 5) {
      case 0:
        text[at] = static_cast<char>(generator() % 256);
        break;
      case 1:
        text[at] = kLikely[generator() % kLikely.size()];
        break;
      case 2:
        text.erase(at, 1 + generator() % 8);
        break;
      case 3:
        text.insert(at, text.substr(generator() % text.size(), generator() % 40));
        break;
      case 4:
        if (generator() % 8 == 0) text.resize(at);
        break;
    }
  }
  return text;
}

/// True if `text` was read; false if it was refused with one line. Anything else ends the test.
template <typename Read>
bool IsRead(const Read& read) {
  try {
    read();
    return true;
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).rfind("damaged", 0), 0u) << error.what();
    return false;
  }
}

TEST(JsonFuzz, DamagedProfilesAreReadOrRefused) {
  std::mt19937 generator(1);
  int refused_count = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const std::string text = ToJson(fixtures::RandomProfile(seed));
    for (int i = 0; i < 300; ++i) {
      const std::string damaged = Damage(text, generator);
      refused_count += !IsRead([&] { ProfileFromJson(damaged, "damaged"); });
    }
  }
  EXPECT_GT(refused_count, 4000);
}

TEST(JsonFuzz, DamagedPlansAreReadOrRefused) {
  std::mt19937 generator(2);
  int refused_count = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const std::string text = ToJson(fixtures::RandomPlan(fixtures::RandomProfile(seed), seed));
    for (int i = 0; i < 200; ++i) {
      const std::string damaged = Damage(text, generator);
      refused_count += !IsRead([&] { PlanFromJson(damaged, "damaged"); });
    }
  }
  EXPECT_GT(refused_count, 2500);
}

TEST(JsonFuzz, DamagedGzipIsReadOrRefused) {
  std::mt19937 generator(3);
  const std::string zipped = Gzip(ToJson(fixtures::ChainWithBackward()));
  int refused_count = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string damaged = Damage(zipped, generator);
    refused_count += !IsRead(
        [&] { ProfileFromJson(Gunzip(damaged, std::int64_t{1} << 20, "damaged"), "damaged"); });
  }
  EXPECT_GT(refused_count, 2000);
}

TEST(JsonFuzz, EveryPrefixOfAProfileIsRefused) {
  const std::string text = ToJson(fixtures::Chain());
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    EXPECT_FALSE(IsRead([&] { ProfileFromJson(text.substr(0, length), "damaged"); })) << length;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, JsonProperty, testing::Range(0u, 60u));

}  // namespace
}  // namespace stint
