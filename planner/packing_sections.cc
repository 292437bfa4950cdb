#include "planner/packing_sections.h"

#include <algorithm>

namespace stint {
namespace {

struct Endpoint {
  std::int32_t time = 0;
  bool is_birth = false;
  std::size_t block = 0;
};

}  // namespace

PackingSections MakeSections(const std::vector<Block>& blocks) {
  std::vector<Endpoint> endpoints{};
  endpoints.reserve(2 * blocks.size());
  PackingSections sections{.blocks = std::vector<SectionBlock>(blocks.size())};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    endpoints.push_back({.time = blocks[i].begin, .is_birth = true, .block = i});
    endpoints.push_back({.time = blocks[i].end, .is_birth = false, .block = i});
    sections.blocks[i].size_bytes = blocks[i].size_bytes;
  }
  // At equal times deaths come first: intervals are half open.
  std::ranges::sort(endpoints, [](const Endpoint& a, const Endpoint& b) {
    return a.time != b.time ? a.time < b.time : a.is_birth < b.is_birth;
  });
  bool has_births = false;
  for (const Endpoint& endpoint : endpoints) {
    SectionBlock& block = sections.blocks[endpoint.block];
    if (endpoint.is_birth) {
      block.begin = sections.section_count;
      has_births = true;
      continue;
    }
    sections.section_count += has_births ? 1 : 0;
    has_births = false;
    block.end = sections.section_count;
  }
  return sections;
}

}  // namespace stint
