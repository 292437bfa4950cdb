// Every parser of foreign bytes, as a function that fuzzers call: mutation_test.cc with damaged
// files in every test run, libfuzzer.cc with what clang's libFuzzer thinks of. A target reads all
// that a parser accepts and lets InputError pass: anything else that happens is a finding.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace stint {

struct FuzzTarget {
  std::string name{};
  std::vector<std::string> seeds{};  // Well-formed inputs.
  /// Whether the parser took the bytes, which end where the memory ends.
  std::function<bool(std::span<const std::byte> bytes)> accepts{};
};

const std::vector<FuzzTarget>& FuzzTargets();

}  // namespace stint
