// Reads a model's config.json, as diffusers and transformers write them, value by value, and names
// the place of what is wrong. Knows no model, no LibTorch.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stint {

class ConfigReader {
 public:
  static constexpr std::int64_t kMaxSize = 65536;  // Of channels and the like: products stay in
                                                   // int64.

  /// `where` names the text in errors, usually the file.
  /// @throws InputError if `text` is not a JSON object. Every member function throws it, too,
  /// naming `where` and the JSON pointer of a value that is not as asked.
  ConfigReader(const std::string& text, std::string where);
  /// An object that is parsed already.
  ConfigReader(nlohmann::json object, std::string where);

  [[noreturn]] void Fail(const std::string& pointer, const std::string& fact) const;

  /// Is there, and not null.
  bool Has(const std::string& key) const;
  const nlohmann::json& At(const std::string& key) const;
  /// The object at `key`.
  ConfigReader Child(const std::string& key) const;

  /// An integer from 1 to `max`.
  std::int64_t Count(const std::string& key, std::int64_t max = kMaxSize) const;
  std::int64_t CountOr(const std::string& key, std::int64_t fallback,
                       std::int64_t max = kMaxSize) const;
  /// A list of `size` counts, or one count for all.
  std::vector<std::int64_t> Counts(const std::string& key, std::size_t size,
                                   std::int64_t max) const;
  bool Bool(const std::string& key, bool fallback) const;
  double Number(const std::string& key, double fallback) const;
  std::string Text(const std::string& key, const std::string& fallback) const;

  /// Refuses keys that are in neither list, and features that have another value than the one in
  /// `features`; keys that begin with "_" are notes.
  void RefuseOthers(std::span<const std::string_view> known_keys,
                    const nlohmann::json& features) const;

 private:
  std::int64_t CountIn(const nlohmann::json& value, const std::string& pointer,
                       std::int64_t max) const;

  nlohmann::json object_;
  std::string where_;
};

}  // namespace stint
