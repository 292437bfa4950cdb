#include "planner/packing_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "ir/errors.h"

namespace stint {
namespace {

TEST(ParsePackingCsvTest, ReadsColumnsInAnyOrder) {
  const std::vector<PackingRow> rows =
      ParsePackingCsv("size,id,upper,lower\r\n7,a b,20,10\r\n9,,5,-3", "in.csv");

  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].id, "a b");
  EXPECT_EQ(rows[0].lower, 10);
  EXPECT_EQ(rows[0].upper, 20);
  EXPECT_EQ(rows[0].size_bytes, 7);
  EXPECT_EQ(rows[1].id, "");
  EXPECT_EQ(rows[1].lower, -3);
}

TEST(ParsePackingCsvTest, ReadsAFileWithoutBlocks) {
  EXPECT_THAT(ParsePackingCsv("id,lower,upper,size\n", "in.csv"), ::testing::IsEmpty());
}

TEST(BlocksOfTest, TurnsTimesIntoRanks) {
  // Times -5, 0, 7 and 2^62 become 0, 1, 2 and 3.
  const std::vector<Block> blocks =
      BlocksOf({{.lower = -5, .upper = 7, .size_bytes = 1},
                {.lower = 0, .upper = 4611686018427387904, .size_bytes = 2}});

  EXPECT_EQ(blocks[0].begin, 0);
  EXPECT_EQ(blocks[0].end, 2);
  EXPECT_EQ(blocks[1].begin, 1);
  EXPECT_EQ(blocks[1].end, 3);
}

TEST(FormatPackingCsvTest, AddsTheOffsets) {
  EXPECT_EQ(FormatPackingCsv({{.id = "x", .lower = 1, .upper = 2, .size_bytes = 3}}, {4}),
            "id,lower,upper,size,offset\nx,1,2,3,4\n");
}

struct BadCsv {
  std::string text{};
  std::string message{};
};

class BadCsvTest : public ::testing::TestWithParam<BadCsv> {};

TEST_P(BadCsvTest, IsRefusedWithItsLine) {
  try {
    ParsePackingCsv(GetParam().text, "in.csv");
    FAIL() << "was read";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(GetParam().message));
    EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
  }
}

const std::string kHead = "id,lower,upper,size\n";

INSTANTIATE_TEST_SUITE_P(
    Files, BadCsvTest,
    ::testing::Values(
        BadCsv{"", "in.csv: is empty"}, BadCsv{"\n", "in.csv:1: has a column"},
        BadCsv{"id,lower,upper\n", "in.csv:1: lacks the column size"},
        BadCsv{"id,lower,upper,size,size\n", "in.csv:1: has the column size twice"},
        BadCsv{"id,lower,upper,size,alignment\n", "in.csv:1: has a column alignment besides"},
        BadCsv{kHead + "a,0,1,2\nb,0,1\n", "in.csv:3: has 3 cells for 4 columns"},
        BadCsv{kHead + "a,0,1,2,3\n", "in.csv:2: has 5 cells for 4 columns"},
        BadCsv{kHead + "a,0,1,2\n\nb,0,1,2\n", "in.csv:3: has 1 cells"},
        BadCsv{kHead + "a,0,1,\n", "in.csv:2: size is no whole number: \"\""},
        BadCsv{kHead + "a,0,1,2.5\n", "in.csv:2: size is no whole number: \"2.5\""},
        BadCsv{kHead + "a, 0,1,2\n", "in.csv:2: lower is no whole number"},
        BadCsv{kHead + "a,0,1,9223372036854775808\n", "in.csv:2: size does not fit 64 bits"},
        BadCsv{kHead + "a,0,1,1152921504606846976\n", "in.csv:2: brings the sum"},
        BadCsv{kHead + "a,0,1,1152921504606846975\nb,5,6,1\n", "in.csv:3: brings the sum"},
        BadCsv{kHead + "a,0,1,-4\n", "in.csv:2: has a size of -4"},
        BadCsv{kHead + "a,0,1,0\n", "in.csv:2: has a size of 0"},
        BadCsv{kHead + "a,3,3,1\n", "in.csv:2: lives from 3 to 3"},
        BadCsv{kHead + "a,3,1,1\n", "in.csv:2: lives from 3 to 1"}));

}  // namespace
}  // namespace stint
