// Damages well-formed inputs of every parser, the same way each time: some rounds in every run of
// the tests, and as many as fit STINT_FUZZ_SECONDS of all tests together where that is set, as it
// is under the sanitizers. What it finds is repeated by the seed in the test's name.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "tests/fuzz/targets.h"

namespace stint {
namespace {

constexpr int kRoundCount = 1000;
constexpr std::uint32_t kSeedCount = 3;

class MutationFuzz : public testing::TestWithParam<std::tuple<std::string, std::uint32_t>> {};

const FuzzTarget& TargetOf(const std::string& name) {
  for (const FuzzTarget& target : FuzzTargets()) {
    if (target.name == name) return target;
  }
  throw std::logic_error("no target " + name);
}

/// One to four small wounds: a byte changed, lost, doubled or moved; sometimes the end cut off.
std::vector<std::byte> Damaged(const std::string& seed, std::mt19937& random) {
  std::string text = seed;
  for (std::uint32_t i = 0; i < 1 + random() % 4 && !text.empty(); ++i) {
    // Half of the wounds near an end, where headers and directories are.
    std::size_t at = random() % text.size();
    if (random() % 4 == 0) at = random() % std::min<std::size_t>(text.size(), 64);
    if (random() % 4 == 0)
      at = text.size() - 1 - random() % std::min<std::size_t>(text.size(), 300);
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random() % 256);
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
        break;
      case 2:
        text.erase(at, 1 + random() % 4);
        break;
      case 3:
        text.insert(at, seed.substr(random() % seed.size(), 1 + random() % 8));
        break;
      default:
        text[at] = text[random() % text.size()];
    }
  }
  if (random() % 8 == 0) text.resize(random() % (text.size() + 1));
  // In memory of exactly this size: the sanitizer watches its end.
  const auto bytes = std::as_bytes(std::span(text));
  std::vector<std::byte> exact(bytes.begin(), bytes.end());
  exact.shrink_to_fit();
  return exact;
}

/// What one test may take of the seconds that the environment gives to all.
double SecondsOfATest() {
  const char* text = std::getenv("STINT_FUZZ_SECONDS");
  const double seconds = text == nullptr ? 0 : std::strtod(text, nullptr);
  return seconds / (kSeedCount * static_cast<double>(FuzzTargets().size()));
}

TEST_P(MutationFuzz, DamagedInputIsRefusedInOneWayOrRead) {
  const auto begin = std::chrono::steady_clock::now();
  const FuzzTarget& target = TargetOf(std::get<0>(GetParam()));
  std::mt19937 random(std::get<1>(GetParam()));
  for (const std::string& seed : target.seeds) {
    ASSERT_TRUE(target.accepts(std::as_bytes(std::span(seed)))) << "the seed is well-formed";
    int refused_count = 0;
    for (int round = 0; round < kRoundCount; ++round) {
      refused_count += target.accepts(Damaged(seed, random)) ? 0 : 1;
    }
    EXPECT_GT(refused_count, kRoundCount / 20) << "damage is noticed";
  }
  const std::chrono::duration<double> limit(SecondsOfATest());
  for (std::size_t i = 0; std::chrono::steady_clock::now() - begin < limit; ++i) {
    target.accepts(Damaged(target.seeds[i % target.seeds.size()], random));
  }
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const FuzzTarget& target : FuzzTargets()) names.push_back(target.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Parsers, MutationFuzz,
                         testing::Combine(testing::ValuesIn(Names()),
                                          testing::Range(0U, kSeedCount)),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" +
                                  std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace stint
