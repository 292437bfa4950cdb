#include "ir/units.h"

#include <gtest/gtest.h>

#include <string>

#include "ir/errors.h"

namespace stint {
namespace {

std::string Refusal(const std::string& text) {
  try {
    ParseBytes(text, "--budget");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(UnitsTest, AlignsUpToMultiplesOf512) {
  EXPECT_EQ(AlignUp(0), 0);
  EXPECT_EQ(AlignUp(1), 512);
  EXPECT_EQ(AlignUp(512), 512);
  EXPECT_EQ(AlignUp(513), 1024);
}

TEST(UnitsTest, ReadsSizesWithUnits) {
  EXPECT_EQ(ParseBytes("0B", "x"), 0);
  EXPECT_EQ(ParseBytes("4096B", "x"), 4096);
  EXPECT_EQ(ParseBytes("100KiB", "x"), 102400);
  EXPECT_EQ(ParseBytes("512 MiB", "x"), 536870912);
  EXPECT_EQ(ParseBytes("8GiB", "x"), 8589934592);
  EXPECT_EQ(ParseBytes("1.5GiB", "x"), 1610612736);
  EXPECT_EQ(ParseBytes("1152921504606846976B", "x"), 1152921504606846976);
}

TEST(UnitsTest, RefusesWhatIsNoSize) {
  EXPECT_EQ(Refusal("8"), "--budget: '8' has no unit: add B, KiB, MiB or GiB");
  EXPECT_EQ(Refusal("8GB"), "--budget: '8GB' is ambiguous (1000 or 1024?): write KiB, MiB or GiB");
  EXPECT_EQ(Refusal("-1GiB"), "--budget: '-1GiB' is negative");
  EXPECT_EQ(Refusal("8TiB"), "--budget: '8TiB' has an unknown unit: use B, KiB, MiB or GiB");
  EXPECT_EQ(Refusal("1.5B"), "--budget: '1.5B' is not a whole number of bytes");
  EXPECT_EQ(Refusal("1.GiB"), "--budget: '1.GiB' lacks digits after its point");
  for (const char* text : {"", "GiB", "1152921504606846977B", "1073741824.5GiB",
                           "99999999999999999999999999GiB", "8GiBs", "8  GiB", "0x8GiB"}) {
    EXPECT_NE(Refusal(text), "") << text;
  }
}

TEST(UnitsTest, FormatsThreeSignificantDigits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(312), "312 B");
  EXPECT_EQ(FormatBytes(1024), "1.00 KiB");
  EXPECT_EQ(FormatBytes(12582912), "12.0 MiB");
  EXPECT_EQ(FormatBytes(8514772992), "7.93 GiB");
  EXPECT_EQ(FormatBytes(-2048), "-2.00 KiB");
  EXPECT_EQ(FormatDuration(840), "840 ns");
  EXPECT_EQ(FormatDuration(51200000), "51.2 ms");
  EXPECT_EQ(FormatDuration(3100000000), "3.10 s");
  EXPECT_EQ(FormatDuration(999999), "1.00 ms");
}

}  // namespace
}  // namespace stint
