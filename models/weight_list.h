// Collects the weights of modules, in the order of the calls: what the lists of all models are made
// with. Each function is the weights of the block of that name in models/blocks.h.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/weights.h"

namespace stint {

class WeightList {
 public:
  void Convolution(const std::string& module, std::int64_t in_count, std::int64_t out_count,
                   std::int64_t kernel) {
    Add(module + ".weight", {out_count, in_count, kernel, kernel});
    Add(module + ".bias", {out_count});
  }

  void Linear(const std::string& module, std::int64_t in_count, std::int64_t out_count,
              bool has_bias = true) {
    Add(module + ".weight", {out_count, in_count});
    if (has_bias) Add(module + ".bias", {out_count});
  }

  void Norm(const std::string& module, std::int64_t count) {
    Add(module + ".weight", {count});
    Add(module + ".bias", {count});
  }

  /// `time_size`: of the timestep's embedding; 0: there is none.
  void Resnet(const std::string& module, std::int64_t in_count, std::int64_t out_count,
              std::int64_t time_size) {
    Norm(module + ".norm1", in_count);
    Convolution(module + ".conv1", in_count, out_count, 3);
    if (time_size > 0) Linear(module + ".time_emb_proj", time_size, out_count);
    Norm(module + ".norm2", out_count);
    Convolution(module + ".conv2", out_count, out_count, 3);
    if (in_count != out_count) Convolution(module + ".conv_shortcut", in_count, out_count, 1);
  }

  void Add(std::string name, std::vector<std::int64_t> sizes) {
    weights_.push_back({.name = std::move(name), .sizes = std::move(sizes)});
  }

  std::vector<WeightSpec> Take() { return std::move(weights_); }

 private:
  std::vector<WeightSpec> weights_;
};

}  // namespace stint
