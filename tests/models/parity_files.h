// The files that a parity script leaves for its test program.
#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "files/safetensors.h"
#include "ir/errors.h"

namespace stint {

inline std::string ParityVariable(const char* name) {
  const char* const value = std::getenv(name);
  Check(value != nullptr, "a parity script runs this program");
  return value;
}

inline std::string ParityModel() { return ParityVariable("STINT_PARITY_MODEL"); }

inline std::string ParityFile(const std::string& name) {
  return ParityVariable("STINT_PARITY_FOLDER") + "/" + name + ".safetensors";
}

/// All float32 and int64 tensors of a file.
inline std::map<std::string, at::Tensor> ReadTensors(const std::string& name) {
  const SafetensorsFile file(ParityFile(name));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, entry] : file.tensors()) {
    const bool is_float = entry.dtype == Dtype::kF32;
    Check(is_float || entry.dtype == Dtype::kI64, "parity files hold float32 and int64");
    const at::Tensor tensor = at::empty(entry.sizes, is_float ? at::kFloat : at::kLong);
    std::memcpy(tensor.data_ptr(), entry.data.data(), entry.data.size());
    tensors[key] = tensor;
  }
  return tensors;
}

}  // namespace stint
