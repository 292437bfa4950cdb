#include "models/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

using Json = nlohmann::json;

Json Parse(const std::string& text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw InputError(where, fmt::format("is not JSON: byte {} is wrong", error.byte));
  }
}

}  // namespace

ConfigReader::ConfigReader(const std::string& text, std::string where)
    : ConfigReader(Parse(text, where), where) {}

ConfigReader::ConfigReader(Json object, std::string where)
    : object_(std::move(object)), where_(std::move(where)) {
  if (!object_.is_object()) throw InputError(where_, "is not a JSON object");
}

void ConfigReader::Fail(const std::string& pointer, const std::string& fact) const {
  throw InputError(where_ + ":/" + pointer, fact);
}

bool ConfigReader::Has(const std::string& key) const {
  return object_.contains(key) && !object_.at(key).is_null();
}

const Json& ConfigReader::At(const std::string& key) const {
  if (!Has(key)) Fail(key, "is missing");
  return object_.at(key);
}

ConfigReader ConfigReader::Child(const std::string& key) const {
  return {At(key), where_ + ":/" + key};
}

std::int64_t ConfigReader::CountIn(const Json& value, const std::string& pointer,
                                   std::int64_t max) const {
  if (!value.is_number_integer() || value < 1 || value > max) {
    Fail(pointer, fmt::format("is not an integer from 1 to {}", max));
  }
  return value.get<std::int64_t>();
}

std::int64_t ConfigReader::Count(const std::string& key, std::int64_t max) const {
  return CountIn(At(key), key, max);
}

std::int64_t ConfigReader::CountOr(const std::string& key, std::int64_t fallback,
                                   std::int64_t max) const {
  return Has(key) ? Count(key, max) : fallback;
}

std::vector<std::int64_t> ConfigReader::Counts(const std::string& key, std::size_t size,
                                               std::int64_t max) const {
  const Json& value = At(key);
  if (!value.is_array()) return std::vector<std::int64_t>(size, CountIn(value, key, max));
  if (value.size() != size) {
    Fail(key, fmt::format("has {} elements, block_out_channels has {}", value.size(), size));
  }
  std::vector<std::int64_t> counts;
  for (std::size_t i = 0; i < size; ++i) {
    counts.push_back(CountIn(value[i], fmt::format("{}/{}", key, i), max));
  }
  return counts;
}

bool ConfigReader::Bool(const std::string& key, bool fallback) const {
  if (!Has(key)) return fallback;
  if (!At(key).is_boolean()) Fail(key, "is not true or false");
  return At(key).get<bool>();
}

double ConfigReader::Number(const std::string& key, double fallback) const {
  if (!Has(key)) return fallback;
  if (!At(key).is_number()) Fail(key, "is not a number");
  return At(key).get<double>();
}

std::string ConfigReader::Text(const std::string& key, const std::string& fallback) const {
  if (!Has(key)) return fallback;
  if (!At(key).is_string()) Fail(key, "is not a text");
  return At(key).get<std::string>();
}

void ConfigReader::RefuseOthers(std::span<const std::string_view> known_keys,
                                const Json& features) const {
  for (const auto& [key, value] : object_.items()) {
    if (std::ranges::count(known_keys, key) > 0 || key.starts_with('_')) continue;
    if (!features.contains(key)) Fail(key, "is a key that Stint does not know");
    const Json& supported = features.at(key);
    if (value != supported) {
      Fail(key, fmt::format("is {}; Stint supports only {}", value.dump(), supported.dump()));
    }
  }
}

}  // namespace stint
