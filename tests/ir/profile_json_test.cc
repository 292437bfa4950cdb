#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/errors.h"
#include "ir/profile.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

/// The first `from` in the text of Chain, replaced; what reading that says.
std::string Refusal(const std::string& from, const std::string& to) {
  std::string text = ToJson(fixtures::Chain());
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  try {
    ProfileFromJson(text, "p.json");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

std::string RefusalOf(const std::string& text) {
  try {
    ProfileFromJson(text, "p.json");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(ProfileJsonTest, EveryKindOfArgumentSurvives) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Profile profile = fixtures::Chain();
  profile.ops[0].arguments = {NoArgument{},
                              true,
                              std::int64_t{-3},
                              2.0,
                              1e300,
                              -kInfinity,
                              std::string("a \"quoted\" \\ \n \x01 \xc3\xa9 text"),
                              TensorArgument{TensorId{0}},
                              TensorListArgument{{TensorId{0}, std::nullopt}},
                              IntListArgument{{1, -2}},
                              DoubleListArgument{{0.1, kInfinity, -0.0}},
                              BoolListArgument{{true, false}},
                              WrappedNumber{.dtype = "float64", .value = 2.0},
                              DeviceArgument{"cuda:0"}};
  const std::string text = ToJson(profile);

  const Profile read = ProfileFromJson(text, "text");

  EXPECT_EQ(ToJson(read), text);
  const auto& arguments = read.ops[0].arguments;
  ASSERT_EQ(arguments.size(), 14u);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    EXPECT_EQ(arguments[i].index(), profile.ops[0].arguments[i].index()) << i;
  }
  EXPECT_EQ(std::get<double>(arguments[3]), 2.0);
  EXPECT_EQ(std::get<double>(arguments[5]), -kInfinity);
  EXPECT_EQ(std::get<std::string>(arguments[6]), "a \"quoted\" \\ \n \x01 \xc3\xa9 text");
}

TEST(ProfileJsonTest, IsJsonForOthersToo) {
  const auto json = nlohmann::json::parse(ToJson(fixtures::ChainWithBackward()));

  EXPECT_EQ(json["schema"], "stint.profile/1");
  EXPECT_EQ(json["ops"].size(), 8u);
  EXPECT_EQ(json["ops"][4]["requests"][1]["size_bytes"], 512);
  EXPECT_EQ(json["ops"][7]["writes"], nlohmann::json::array({1}));
}

TEST(ProfileJsonTest, ReadsEscapesAndOtherLayouts) {
  Profile profile = fixtures::Chain();
  profile.phases[0].name = "\xf0\x9f\x98\x80/";
  const std::string text = nlohmann::json::parse(ToJson(profile)).dump(3, ' ', true);

  EXPECT_NE(text.find("\\ud83d\\ude00"), std::string::npos);
  EXPECT_EQ(ToJson(ProfileFromJson(text, "text")), ToJson(profile));
}

TEST(ProfileJsonTest, HashLeavesOutTheContext) {
  Profile profile = fixtures::Chain();
  const std::string hash = ProfileSha256(profile);

  profile.context = {.date = "2026-01-31", .host = "here", .wall_time_ns = 5};
  EXPECT_EQ(ProfileSha256(profile), hash);
  profile.ops[0].duration_ns += 1;
  EXPECT_NE(ProfileSha256(profile), hash);
}

TEST(ProfileJsonTest, RefusesKeysThatAreUnknownRepeatedOrMissing) {
  EXPECT_EQ(Refusal("\"outputs\"", "\"output\""), "p.json:/ops/0/output: is an unknown key");
  EXPECT_EQ(Refusal("\"outputs\"", "\"name\": \"test::A\", \"outputs\""),
            "p.json:/ops/0/name: appears twice");
  EXPECT_EQ(Refusal(", \"duration_ns\": 1}", "}"), "p.json:/ops/0: lacks the key \"duration_ns\"");
  EXPECT_EQ(Refusal("{\"tensor\": 0}", "{\"tenser\": 0}"),
            "p.json:/ops/0/arguments/0/tenser: is an unknown kind of argument, expected one of "
            "tensor, tensors, ints, doubles, bools, number, device, double");
}

TEST(ProfileJsonTest, RefusesOtherSchemas) {
  EXPECT_EQ(Refusal("stint.profile/1", "stint.plan/1"),
            "p.json:/schema: is \"stint.plan/1\", expected \"stint.profile/1\"");
}

TEST(ProfileJsonTest, RefusesValuesOfAnotherKind) {
  EXPECT_EQ(Refusal("\"duration_ns\": 1}", "\"duration_ns\": 1.0}"),
            "p.json:/ops/0/duration_ns: is a number with a fraction or exponent, expected an "
            "integer");
  EXPECT_EQ(Refusal("\"duration_ns\": 1}", "\"duration_ns\": \"1\"}"),
            "p.json:/ops/0/duration_ns: is a text, expected an integer");
  EXPECT_EQ(Refusal("\"duration_ns\": 1}", "\"duration_ns\": 99999999999999999999}"),
            "p.json:/ops/0/duration_ns: 99999999999999999999 does not fit into 64 bits");
  EXPECT_EQ(Refusal("{\"tensor\": 0}", "{\"tensor\": 4294967296}"),
            "p.json:/ops/0/arguments/0/tensor: 4294967296 does not fit into 32 bits");
  EXPECT_EQ(Refusal("{\"tensor\": 0}", "1e999"),
            "p.json:/ops/0/arguments/0: 1e999 does not fit into a double");
  EXPECT_EQ(Refusal("{\"tensor\": 0}", "[1]"),
            "p.json:/ops/0/arguments/0: is a list, which needs a name, like {\"ints\": [1, 2]}");
  EXPECT_EQ(Refusal("\"role\": \"input\"", "\"role\": \"Input\""),
            "p.json:/buffers/0/role: is \"Input\", expected one of weight, gradient, "
            "optimizer_state, ema, input, constant, activation, output, workspace");
  EXPECT_EQ(RefusalOf("[]"), "p.json: is a list, expected an object");
}

TEST(ProfileJsonTest, NamesLineAndByteOfWhatIsNoJson) {
  EXPECT_EQ(RefusalOf(""), "p.json: is not JSON at line 1, byte 0: the text is empty");
  EXPECT_EQ(RefusalOf("{\"schema\": \"stint.profile/1\",\n\"workload\" 3}"),
            "p.json: is not JSON at line 2, byte 41: syntax error while parsing object "
            "separator - unexpected number literal; expected ':'");
  EXPECT_EQ(RefusalOf(ToJson(fixtures::Chain()) + "{"),
            "p.json: is not JSON at line 28, byte " +
                std::to_string(ToJson(fixtures::Chain()).size()) +
                ": syntax error while parsing value - unexpected '{'; expected end of input");
  for (const char* bad : {"01", "1.", "-", "+1", "1e", ".5", "tru", "nul", "\"a", "\"\\x\"",
                          "\"\\ud800\"", "\"\t\"", "\"\xff\"", "NaN", "'a'", "1,,2"}) {
    const std::string refusal = Refusal("{\"tensor\": 0}", bad);
    EXPECT_NE(refusal.find("is not JSON at line "), std::string::npos) << bad << ": " << refusal;
  }
}

TEST(ProfileJsonTest, RefusesZeroBytesAlsoAtTheEnd) {
  EXPECT_EQ(RefusalOf(ToJson(fixtures::Chain()) + '\0'),
            "p.json: is not JSON at line 28, byte " +
                std::to_string(ToJson(fixtures::Chain()).size()) + ": a zero byte");
}

TEST(ProfileJsonTest, RefusesHostileTextInOneShortLine) {
  const std::string deep(100000, '[');
  const std::string deep_end(100000, ']');
  const std::string long_text = "\"" + std::string(1000000, 'x') + "\n\"";

  EXPECT_EQ(RefusalOf(deep + deep_end), "p.json: is a list, expected an object");
  EXPECT_EQ(Refusal("\"outputs\"", "\"out\\nputs\""), "p.json:/ops/0/out?puts: is an unknown key");
  for (const std::string& text : {deep, long_text, long_text + '\x7f', std::string("\"\n\xff\"")}) {
    const std::string refusal = RefusalOf(text);
    EXPECT_EQ(refusal.rfind("p.json: is not JSON at line ", 0), 0u) << refusal;
    EXPECT_EQ(refusal.find('\n'), std::string::npos) << refusal;
    EXPECT_LT(refusal.size(), 200u) << refusal;
  }
}

TEST(ProfileJsonTest, WritesEveryControlCharacterInTheSameForm) {
  Profile profile = fixtures::Chain();
  profile.phases[0].name = "\"\\/\n\t\x01\x7f\xc3\xa9";
  EXPECT_NE(ToJson(profile).find("\"\\\"\\\\/\\u000a\\u0009\\u0001\\u007f\xc3\xa9\""),
            std::string::npos);

  profile.phases[0].name = "\xff";
  EXPECT_THROW(ToJson(profile), InputError);
}

TEST(ProfileJsonTest, LoadsAnSdxlStepSoonEnough) {
  const std::string text = ToJson(fixtures::LargeProfile(18000));
  const auto begin = std::chrono::steady_clock::now();
  const Profile profile = ProfileFromJson(text, "text");
  const std::chrono::duration<double> elapsed_s = std::chrono::steady_clock::now() - begin;

  EXPECT_EQ(profile.ops.size(), 18000u);
  // A fifth of a second on one core; the limit only catches what has become quadratic.
  EXPECT_LT(elapsed_s.count(), 30.0);
}

}  // namespace
}  // namespace stint
