//===- CheckpointBuilder.h - Small checkpoints for tests --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_MODELS_CHECKPOINTBUILDER_H
#define DSV2_TEST_MODELS_CHECKPOINTBUILDER_H

#include "models/Config.h"
#include "runtime/base/NumberFormats.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

namespace dsv2::test {

/// A directory that disappears with the object.
class CheckpointDirectory {
public:
  CheckpointDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "dsv2-test-XXXXXX").string();
    if (char *made = ::mkdtemp(pattern.data()))
      directory = made;
    EXPECT_FALSE(directory.empty());
  }
  ~CheckpointDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  CheckpointDirectory(const CheckpointDirectory &) = delete;
  CheckpointDirectory &operator=(const CheckpointDirectory &) = delete;

  const std::string &path() const { return directory; }
  std::string operator/(const std::string &name) const {
    return directory + "/" + name;
  }
  void write(const std::string &name, const std::string &bytes) const {
    std::ofstream(directory + "/" + name, std::ios::binary) << bytes;
  }

private:
  std::string directory;
};

/// A tensor as bytes.
struct RawTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
using RawTensors = std::map<std::string, RawTensor>;

template <typename T>
std::string toBytes(const std::vector<T> &values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline RawTensor f32Tensor(std::vector<int64_t> shape,
                           const std::vector<float> &values) {
  return {"F32", std::move(shape), toBytes(values)};
}

/// The image of a safetensors file with `header` and `data`.
inline std::string safetensorsImage(const std::string &header,
                                    const std::string &data) {
  uint64_t size = header.size();
  std::string image(sizeof(size), '\0');
  std::memcpy(image.data(), &size, sizeof(size));
  return image + header + data;
}

inline std::string safetensorsImage(const RawTensors &tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto &[name, tensor] : tensors) {
    size_t begin = data.size();
    data += tensor.bytes;
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {begin, data.size()}}};
  }
  return safetensorsImage(header.dump(), data);
}

/// A small valid config of the V2 family that tests change some keys of.
inline nlohmann::json tinyConfig() {
  return {{"model_type", "deepseek_v2"},
          {"num_hidden_layers", 3},
          {"hidden_size", 64},
          {"vocab_size", 100},
          {"max_position_embeddings", 128},
          {"num_attention_heads", 4},
          {"q_lora_rank", nullptr},
          {"kv_lora_rank", 32},
          {"qk_nope_head_dim", 16},
          {"qk_rope_head_dim", 8},
          {"v_head_dim", 16},
          {"intermediate_size", 96},
          {"moe_intermediate_size", 24},
          {"n_routed_experts", 8},
          {"n_shared_experts", 2},
          {"num_experts_per_tok", 3},
          {"first_k_dense_replace", 1},
          {"n_group", 4},
          {"topk_group", 2},
          {"topk_method", "group_limited_greedy"}};
}

/// The same with the defaults of the V3 family.
inline nlohmann::json tinyV3Config() {
  nlohmann::json json = tinyConfig();
  json["model_type"] = "deepseek_v3";
  json.erase("topk_method");
  return json;
}

inline Config parsed(const nlohmann::json &json) {
  Result<Config> config = parseConfig(json.dump(), "test.json");
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : Config();
}

/// Every tensor of the model in bf16; element i of a tensor is i % 64.
inline RawTensors tensorsOf(const Config &config) {
  RawTensors tensors;
  for (const ExpectedTensor &expected : expectedTensors(config)) {
    int64_t count = 1;
    for (int64_t size : expected.shape)
      count *= size;
    std::vector<uint16_t> values(count);
    for (int64_t i = 0; i < count; ++i)
      values[i] = floatToBf16(static_cast<float>(i % 64));
    tensors[expected.name] = {"BF16", expected.shape, toBytes(values)};
  }
  return tensors;
}

/// Checks that `status` failed with one line that mentions all parts.
inline void expectFailure(const Status &status,
                          std::initializer_list<const char *> parts) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
  EXPECT_LT(status.message().size(), 400u);
  for (const char *part : parts)
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "'" << status.message() << "' should mention '" << part << "'";
}

} // namespace dsv2::test

#endif // DSV2_TEST_MODELS_CHECKPOINTBUILDER_H
