// The targets under clang's libFuzzer: STINT_FUZZ_TARGET=pickle fuzz_parsers CORPUS_FOLDER
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/targets.h"

namespace {

const stint::FuzzTarget& Chosen() {
  const char* const name = std::getenv("STINT_FUZZ_TARGET");
  for (const stint::FuzzTarget& target : stint::FuzzTargets()) {
    if (name != nullptr && target.name == name) return target;
  }
  std::fprintf(stderr, "STINT_FUZZ_TARGET must be one of:");
  for (const stint::FuzzTarget& target : stint::FuzzTargets()) {
    std::fprintf(stderr, " %s", target.name.c_str());
  }
  std::fprintf(stderr, "\n");
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size_bytes) {
  static const stint::FuzzTarget& target = Chosen();
  target.accepts(std::as_bytes(std::span(data, size_bytes)));
  return 0;
}
