// Aspect buckets: the sizes that pictures of other shapes are cut to, instead of all to one. Knows
// shapes only: no pictures, no model, no LibTorch.
//
//     steps of 64 px, at most the area of 192x192       each picture goes to the nearest shape
//
//        128x256    192x192    256x128            500x800 -> 128x256: 0.625 is 1.25 times 0.5,
//         +--+       +---+     +-----+                      and 1 is 1.6 times 0.625
//         |  |       |   |     |     |            600x800 -> 192x192: 1.5 and 1.33 times
//         |  |       +---+     +-----+
//         +--+
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "files/image.h"

namespace stint {

/// "128x256": width, height.
std::string NameOf(const ImageSize& size);

/// Sizes whose edges are multiples of `step_px`, of at most the area of `most`, between 1:2 and
/// 2:1: for each width the largest height, and for each height the largest width. By width, then
/// by height; empty if the area is less than that of one step.
std::vector<ImageSize> MakeBuckets(const ImageSize& most, std::int64_t step_px);

/// Of `buckets`, which are some, the one whose ratio of width to height is nearest to that of
/// `size`, on a logarithmic scale; of two that are equally near, the first. Exact: no rounding.
/// Edges are from 1 to 16384.
std::size_t NearestBucket(const std::vector<ImageSize>& buckets, const ImageSize& size);

}  // namespace stint
