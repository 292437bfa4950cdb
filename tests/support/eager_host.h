// Runs a program as ordinary LibTorch code: real tensors, no capture, no plan. Remembers what the
// program declared and marked.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dispatch/program.h"
#include "ir/errors.h"
#include "ir/profile.h"

namespace stint {

class EagerHost : public ProgramHost {
 public:
  using Load = std::function<void(const Buffer& buffer, const torch::Tensor& value)>;

  /// `load` fills each persistent tensor when it is first declared.
  explicit EagerHost(Load load) : load_(std::move(load)) {
    // Threads that share tiny ops spend their time waiting for each other.
    at::set_num_threads(1);
  }

  torch::Device device() const override { return at::kCPU; }

  torch::Tensor Persistent(const std::string& name, BufferRole role,
                           const std::vector<std::int64_t>& sizes, torch::ScalarType dtype,
                           torch::MemoryFormat format) override {
    Check(!declared_in_run_[name], "names are unique within a program");
    declared_in_run_[name] = true;
    const auto found = persistent_.find(name);
    if (found != persistent_.end()) return found->second;
    const at::Tensor value = at::empty(sizes, dtype).contiguous(format);
    load_({.name = name,
           .role = role,
           .size_bytes = static_cast<std::int64_t>(value.nbytes()),
           .is_persistent = true},
          value);
    roles_[name] = role;
    return persistent_.emplace(name, value).first->second;
  }

  void Phase(const std::string& name, std::int64_t repeat_count,
             const std::function<void()>& body) override {
    phases_.emplace_back(name, repeat_count);
    for (std::int64_t i = 0; i < repeat_count; ++i) body();
  }

  void Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) override {
    const std::string key = role == BufferRole::kGradient ? "grad:" + name : name;
    results_[key] = tensor.detach().clone();
    marks_.push_back(key);
  }

  /// Runs one iteration; persistent values stay, what was noted of the last one goes.
  void Run(const Program& program) {
    declared_in_run_.clear();
    phases_.clear();
    results_.clear();
    marks_.clear();
    program(*this);
  }

  const std::map<std::string, at::Tensor>& persistent() const { return persistent_; }
  const std::map<std::string, BufferRole>& roles() const { return roles_; }
  const std::vector<std::pair<std::string, std::int64_t>>& phases() const { return phases_; }
  /// By name; gradients as "grad:" + the parameter's name.
  const std::map<std::string, at::Tensor>& results() const { return results_; }
  /// Keys of results in the order of the marks.
  const std::vector<std::string>& marks() const { return marks_; }

 private:
  Load load_;
  std::map<std::string, at::Tensor> persistent_;
  std::map<std::string, BufferRole> roles_;
  std::map<std::string, bool> declared_in_run_;
  std::vector<std::pair<std::string, std::int64_t>> phases_;
  std::map<std::string, at::Tensor> results_;
  std::vector<std::string> marks_;
};

}  // namespace stint
