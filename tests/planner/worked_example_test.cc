// The worked example of docs/planning.md: every number that the document shows is computed here,
// and the document must show it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "ir/effects.h"
#include "planner/make_plan.h"
#include "planner/program.h"
#include "planner/schedule.h"
#include "planner/solver.h"
#include "tests/planner/brute_force.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kBlockBytes = 512;
constexpr std::int64_t kXBlocks = 1;  // Persistent: resident all the time.

/// One op of the example: makes one storage, reads others.
struct ExampleOp {
  const char* name = "";
  const char* makes = "";
  std::int64_t blocks = 0;
  std::int64_t duration_ns = 0;
  std::array<int, 2> reads{-1, -1};  // Ops whose storage it reads; -1: none.
};

constexpr std::size_t kOpCount = 8;
constexpr std::array<ExampleOp, kOpCount> kOps = {{{"A", "a", 2, 2, {-1, -1}},
                                                   {"B", "b", 1, 4, {0, -1}},
                                                   {"C", "c", 3, 1, {1, -1}},
                                                   {"D", "d", 2, 3, {2, -1}},
                                                   {"P", "g0", 1, 1, {3, -1}},
                                                   {"D'", "g1", 1, 6, {4, 2}},
                                                   {"C'", "g2", 1, 2, {5, 1}},
                                                   {"B'", "g3", 1, 8, {6, 0}}}};

Profile Example() {
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, kXBlocks * kBlockBytes);
  std::vector<BufferId> made{};
  for (const ExampleOp& op : kOps) {
    std::vector<BufferId> reads{};
    for (const int read : op.reads) {
      if (read >= 0) reads.push_back(made[static_cast<std::size_t>(read)]);
    }
    if (reads.empty()) reads.push_back(x);
    made.push_back(graph.Make(std::string("example::") + op.name, reads, op.blocks * kBlockBytes,
                              op.duration_ns));
  }
  graph.profile().buffers[Index(made.back())].role = BufferRole::kOutput;
  graph.EndPhase("step");
  return graph.Build();
}

bool Reads(std::size_t op, std::size_t producer) {
  const auto& reads = kOps[op].reads;
  return std::ranges::find(reads, static_cast<int>(producer)) != reads.end();
}

/// Storages that are live while `p` runs if everything is kept: made, and used by it or later.
bool IsLiveAt(std::size_t storage, std::size_t p) {
  for (std::size_t op = p; op < kOpCount; ++op) {
    if (storage == op || (storage < op && Reads(op, storage))) return storage <= p;
  }
  return false;
}

std::int64_t LiveBlocks(std::size_t p) {
  std::int64_t blocks = kXBlocks;
  for (std::size_t i = 0; i < kOpCount; ++i) blocks += IsLiveAt(i, p) ? kOps[i].blocks : 0;
  return blocks;
}

/// The least recomputation after `p` that any schedule within `budget_blocks` needs, by the cut at
/// `p` alone: choose what stays while `p` runs; what is used later and did not stay runs again, and
/// so does, in turn, what that needs. Empty if `p` itself does not fit.
std::optional<std::int64_t> CutBound(std::size_t p, std::int64_t budget_blocks) {
  std::optional<std::int64_t> least_ns{};
  for (unsigned stay = 0; stay < (1U << kOpCount); ++stay) {
    std::int64_t blocks = kXBlocks;
    const auto stays = [&](std::size_t i) {
      return ((stay >> i) & 1U) != 0 || i == p || Reads(p, i);
    };
    for (std::size_t i = 0; i <= p; ++i) blocks += stays(i) ? kOps[i].blocks : 0;
    if (blocks > budget_blocks) continue;
    std::array<bool, kOpCount> is_again{};
    for (std::size_t op = kOpCount; op-- > 0;) {
      if (op <= p && !is_again[op]) continue;
      for (const int read : kOps[op].reads) {
        if (read >= 0 && static_cast<std::size_t>(read) <= p &&
            !stays(static_cast<std::size_t>(read))) {
          is_again[static_cast<std::size_t>(read)] = true;
        }
      }
    }
    std::int64_t again_ns = 0;
    for (std::size_t i = 0; i <= p; ++i) again_ns += is_again[i] ? kOps[i].duration_ns : 0;
    least_ns = std::min(least_ns.value_or(again_ns), again_ns);
  }
  return least_ns;
}

std::optional<std::int64_t> BestCutBound(std::int64_t budget_blocks) {
  std::int64_t best_ns = 0;
  for (std::size_t p = 0; p < kOpCount; ++p) {
    const std::optional<std::int64_t> bound_ns = CutBound(p, budget_blocks);
    if (!bound_ns) return std::nullopt;
    best_ns = std::max(best_ns, *bound_ns);
  }
  return best_ns;
}

std::string Document() {
  std::ostringstream text;
  text << std::ifstream(STINT_SOURCE_DIR "/docs/planning.md").rdbuf();
  return text.str();
}

std::string OrNone(std::optional<std::int64_t> number) {
  return number ? std::to_string(*number) : "none";
}

TEST(WorkedExample, TakesTenBlocksAndTwentySevenNanosecondsIfEverythingIsKept) {
  const Profile profile = Example();
  std::array<std::int64_t, kOpCount> live{};
  for (std::size_t p = 0; p < kOpCount; ++p) live[p] = LiveBlocks(p);

  EXPECT_THAT(live, ElementsAre(3, 4, 7, 9, 10, 9, 6, 5));
  const Program program = MakeProgram(profile, DeriveEffects(profile));
  const ScheduleTotals keep_all = Measure(profile, program, KeepAllSchedule(profile, program));
  EXPECT_EQ(keep_all.peak_bytes, 10 * kBlockBytes);
  EXPECT_EQ(keep_all.duration_ns, 27);
}

TEST(WorkedExample, DocumentShowsWhatEachOpFindsLive) {
  std::string row = "| live |";
  for (std::size_t p = 0; p < kOpCount; ++p) row += fmt::format(" {} |", LiveBlocks(p));

  EXPECT_THAT(Document(), HasSubstr(row));
}

TEST(WorkedExample, DocumentShowsBoundsAndOptimaOfEachBudget) {
  const Profile profile = Example();
  const std::string document = Document();
  for (std::int64_t blocks = 10; blocks >= 5; --blocks) {
    std::optional<std::int64_t> fastest_ns = FastestDurationNs(profile, blocks * kBlockBytes);
    const std::optional<std::int64_t> again_ns =
        fastest_ns ? std::optional(*fastest_ns - 27) : std::nullopt;
    const std::string row =
        fmt::format("| {} | {} | {} | {} | {} |", blocks, OrNone(CutBound(4, blocks)),
                    OrNone(CutBound(5, blocks)), OrNone(BestCutBound(blocks)), OrNone(again_ns));

    EXPECT_THAT(document, HasSubstr(row));
    if (again_ns) {
      EXPECT_LE(*BestCutBound(blocks), *again_ns);
    }
  }
}

TEST(WorkedExample, SevenBlocksNeedBothCuts) {
  // At P c goes, for 1 ns; at D' a goes, for 2 ns; b stays throughout.
  EXPECT_EQ(CutBound(4, 7), 1);
  EXPECT_EQ(CutBound(5, 7), 2);
  EXPECT_EQ(FastestDurationNs(Example(), 7 * kBlockBytes), 27 + 1 + 2);
}

/// The words of a line, one after another.
std::vector<std::string> Words(const std::string& line) {
  std::istringstream text(line);
  return {std::istream_iterator<std::string>(text), {}};
}

/// The lines of the document from the one that begins with `begin`.
std::vector<std::string> LinesFrom(const std::string& begin, std::size_t count) {
  std::istringstream text(Document());
  std::vector<std::string> lines{};
  for (std::string line; std::getline(text, line) && lines.size() < count;) {
    if (!lines.empty() || line.starts_with(begin)) lines.push_back(line);
  }
  lines.resize(count);
  return lines;
}

TEST(WorkedExample, DocumentShowsAPlanForSevenBlocks) {
  // "A  B  free a  C", "free g0, c": what is freed follows the word, an op is a word of its own.
  const std::vector<std::string> lines = LinesFrom("A  B  free a", 2);
  const Profile profile = Example();
  const Program program = MakeProgram(profile, DeriveEffects(profile));
  Schedule schedule{.phases = {{}}};
  std::string live_row{};
  std::set<std::size_t> live{};
  for (std::string word : Words(lines[0])) {
    if (word == "free") continue;
    if (word.ends_with(',')) word.pop_back();
    for (std::size_t i = 0; i < kOpCount; ++i) {
      const BufferId buffer{static_cast<std::int32_t>(i) + 1};  // After x.
      if (word == kOps[i].makes) {
        schedule.phases[0].body.push_back(FreeInstruction(buffer));
        live.erase(i);
      } else if (word == kOps[i].name) {
        schedule.phases[0].body.push_back(
            ComputeInstruction(OpId{static_cast<std::int32_t>(i)}, {}));
        live.insert(i);
        std::int64_t blocks = kXBlocks;
        for (const std::size_t storage : live) blocks += kOps[storage].blocks;
        live_row += std::to_string(blocks) + " ";
      }
    }
  }

  const ScheduleTotals totals = Measure(profile, program, schedule);
  EXPECT_EQ(totals.peak_bytes, 7 * kBlockBytes);
  EXPECT_EQ(totals.duration_ns, 30);
  std::string shown_row{};
  for (const std::string& word : Words(lines[1])) shown_row += word == "live" ? "" : word + " ";
  EXPECT_EQ(shown_row, live_row);
}

TEST(WorkedExample, SixBlocksFitAndFiveDoNot) {
  EXPECT_TRUE(FastestDurationNs(Example(), 6 * kBlockBytes).has_value());
  const PlanAnswer answer = MakePlan(Example(), {.budget_bytes = 5 * kBlockBytes});

  EXPECT_EQ(answer.status, SolveStatus::kInfeasible);
  EXPECT_EQ(answer.min_budget_bytes, 6 * kBlockBytes);
  EXPECT_THAT(answer.binding, HasSubstr("example::D)"));
}

}  // namespace
}  // namespace stint
