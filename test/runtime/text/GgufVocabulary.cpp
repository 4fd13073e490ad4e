//===- GgufVocabulary.cpp - The vocabulary of a GGUF file -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/runtime/text/GgufVocabulary.h"

#include <nlohmann/json.hpp>

#include <array>
#include <fstream>

using namespace dsv2::test;

namespace {

enum ValueType : uint32_t { int32Value = 5, stringValue = 8, arrayValue = 9 };

/// Bytes of each scalar type, by number; 0 for strings and arrays.
constexpr std::array<uint64_t, 13> scalarBytes = {1, 1, 2, 2, 4, 4, 4,
                                                  1, 0, 0, 8, 8, 8};

class Reader {
public:
  explicit Reader(const std::string &path) : file(path, std::ios::binary) {}

  template <typename T>
  T number() {
    T value = {};
    file.read(reinterpret_cast<char *>(&value), sizeof(value));
    return value;
  }

  std::string string() {
    std::string text(file ? number<uint64_t>() : 0, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }

  void value(const std::string &key, GgufMetadata &metadata) {
    auto type = number<uint32_t>();
    uint64_t count = 1;
    bool array = type == arrayValue;
    if (array) {
      type = number<uint32_t>();
      count = number<uint64_t>();
    }
    for (uint64_t i = 0; i < count && file; ++i) {
      if (type == stringValue) {
        std::string text = string();
        if (array)
          metadata.strings[key].push_back(text);
      } else if (type == int32Value && array) {
        metadata.integers[key].push_back(number<int32_t>());
      } else {
        file.ignore(static_cast<std::streamsize>(scalarBytes.at(type)));
      }
    }
  }

  bool good() const { return file.good(); }

private:
  std::ifstream file;
};

} // namespace

std::optional<GgufMetadata>
dsv2::test::readGgufMetadata(const std::string &path) {
  Reader reader(path);
  constexpr uint32_t magic = 0x46554747; // "GGUF"
  if (reader.number<uint32_t>() != magic)
    return std::nullopt;
  reader.number<uint32_t>(); // version
  reader.number<uint64_t>(); // tensors
  auto entries = reader.number<uint64_t>();
  GgufMetadata metadata;
  for (uint64_t i = 0; i < entries && reader.good(); ++i) {
    std::string key = reader.string();
    reader.value(key, metadata);
  }
  return metadata;
}

std::string dsv2::test::coderTokenizerJson(const GgufMetadata &metadata) {
  using Json = nlohmann::json;
  constexpr int32_t normal = 1, control = 3;
  const auto &tokens = metadata.strings.at("tokenizer.ggml.tokens");
  const auto &types = metadata.integers.at("tokenizer.ggml.token_type");
  Json vocabulary = Json::object();
  Json added = Json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] == normal)
      vocabulary[tokens[id]] = id;
    else
      added.push_back({{"id", id},
                       {"content", tokens[id]},
                       {"special", types[id] == control}});
  }
  auto split = [](const char *pattern) {
    return Json{{"type", "Split"},
                {"pattern", {{"Regex", pattern}}},
                {"behavior", "Isolated"}};
  };
  Json steps = {split("[\r\n]"),
                split("\\s?\\p{L}+"),
                split("\\s?\\p{P}+"),
                split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                Json{{"type", "Digits"}, {"individual_digits", true}},
                Json{{"type", "ByteLevel"},
                     {"add_prefix_space", false},
                     {"use_regex", false}}};
  Json json = {
      {"added_tokens", added},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
      {"model",
       {{"type", "BPE"},
        {"vocab", vocabulary},
        {"merges", metadata.strings.at("tokenizer.ggml.merges")}}}};
  return json.dump();
}
