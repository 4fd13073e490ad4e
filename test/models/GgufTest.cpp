//===- GgufTest.cpp - Valid and damaged GGUF files ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Gguf.h"
#include "models/GgufDequantize.h"
#include "test/models/CheckpointBuilder.h"
#include "test/models/GgufBuilder.h"

using namespace dsv2;
using namespace dsv2::test;

static Result<GgufContents> parse(const std::string &image) {
  return parseGguf(std::as_bytes(std::span(image)), "file");
}

static GgufImage smallImage() {
  GgufImage image;
  image.text("general.architecture", "deepseek2");
  image.u32("a.count", 7);
  image.f32("a.epsilon", 1e-6f);
  image.boolean("a.flag", true);
  image.texts("a.texts", {"x", "", "yz"});
  image.integers("a.integers", {1, -2, 3});
  image.tensor("w", {2, 64}, GgufType::q8_0,
               encodeGguf(GgufType::q8_0, std::vector<float>(128, 1)));
  image.tensor("b", {3}, GgufType::f32, encodeGguf(GgufType::f32, {1, 2, 3}));
  return image;
}

TEST(Gguf, ReadsMetadataAndTensors) {
  std::string image = smallImage().bytes();
  Result<GgufContents> file = parse(image);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->values["a.count"], 7);
  // As its author wrote it, not as the nearest float prints in double.
  EXPECT_EQ(file->values["a.epsilon"].get<double>(), 1e-6);
  EXPECT_EQ(file->values["a.flag"], true);
  EXPECT_EQ(file->texts["a.texts"],
            (std::vector<std::string_view>{"x", "", "yz"}));
  EXPECT_EQ(file->integers["a.integers"], (std::vector<int64_t>{1, -2, 3}));
  ASSERT_EQ(file->tensors.size(), 2u);
  EXPECT_EQ(file->tensors[0].name, "b");
  EXPECT_EQ(file->tensors[1].shape, (std::vector<int64_t>{2, 64}));
  EXPECT_EQ(file->tensors[1].size, 4u * 34);
  EXPECT_EQ(file->tensors[1].rowBytes(), 2u * 34);
}

TEST(Gguf, RefusesDamagedFiles) {
  std::string image = smallImage().bytes();
  expectFailure(parse("GGML").status(), {"file", "GGUF"});
  std::string old = image;
  old[4] = 1;
  expectFailure(parse(old).status(), {"version 1", "expected 2 or 3"});

  GgufImage twice = smallImage();
  twice.u32("a.count", 8);
  expectFailure(parse(twice.bytes()).status(), {"a.count", "twice"});

  GgufImage unaligned = smallImage();
  unaligned.u32("general.alignment", 24);
  expectFailure(parse(unaligned.bytes()).status(),
                {"general.alignment", "power of two"});

  GgufImage unknown;
  unknown.tensor("w", {256}, static_cast<GgufType>(16), "");
  expectFailure(parse(unknown.bytes()).status(), {"type 16", "Q4_K"});

  GgufImage odd;
  odd.tensor("w", {33}, GgufType::q4_0, std::string(64, 0));
  expectFailure(parse(odd.bytes()).status(), {"\"w\"", "multiple of 32"});

  GgufImage huge;
  huge.tensor("w", {1 << 30, 1 << 30, 1 << 30}, GgufType::f32, "");
  expectFailure(parse(huge.bytes()).status(), {"\"w\"", "overflow"});

  GgufImage same;
  same.tensor("w", {1}, GgufType::f32, "abcd");
  same.tensor("w", {1}, GgufType::f32, "abcd");
  expectFailure(parse(same.bytes()).status(), {"\"w\"", "twice"});
}

// Nothing but the padding at the end may be missing.
TEST(Gguf, RefusesEveryTruncation) {
  std::string image = smallImage().bytes();
  for (size_t size = 0; size < image.size(); ++size) {
    Result<GgufContents> file = parse(image.substr(0, size));
    ASSERT_FALSE(file.ok()) << size;
    EXPECT_EQ(file.status().message().find('\n'), std::string::npos);
  }
}

TEST(Gguf, SurvivesEveryFlippedBit) {
  std::string image = smallImage().bytes();
  for (size_t bit = 0; bit < 8 * image.size(); ++bit) {
    std::string damaged = image;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    Result<GgufContents> file = parse(damaged);
    if (file.ok())
      continue;
    EXPECT_EQ(file.status().message().find('\n'), std::string::npos);
  }
}

// Against what the `gguf` package makes of the same blocks, to the bit.
TEST(Gguf, DequantizesEveryType) {
  Result<GgufFile> file = GgufFile::open(DSV2_GGUF_BLOCKS);
  ASSERT_TRUE(file.ok()) << file.status().message();
  std::map<std::string, const GgufTensor *> tensors;
  for (const GgufTensor &tensor : file->contents().tensors)
    tensors[tensor.name] = &tensor;
  size_t types = 0;
  for (const auto &[name, values] : tensors) {
    if (!name.ends_with(".values"))
      continue;
    const GgufTensor &stored = *tensors.at(name.substr(0, name.size() - 7));
    std::vector<float> expected(values->size / 4), found(expected.size());
    std::memcpy(expected.data(), values->data, values->size);
    EXPECT_TRUE(dequantizeGguf(stored.type, stored.data,
                               static_cast<int64_t>(found.size()),
                               found.data()));
    EXPECT_EQ(found, expected) << infoOf(stored.type).name;
    ++types;

    const GgufTypeInfo &info = infoOf(stored.type);
    if (info.groups == GroupFormat::none || !info.isExact)
      continue;
    std::vector<int8_t> quants(found.size());
    std::vector<uint16_t> scales(found.size() / 32);
    EXPECT_TRUE(readGgufGroups(stored.type, stored.data,
                               static_cast<int64_t>(found.size()),
                               quants.data(), scales.data()));
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_EQ(f16ToFloat(scales[i / 32]) * static_cast<float>(quants[i]),
                expected[i])
          << info.name;
  }
  EXPECT_EQ(types, 14u);
}

TEST(Gguf, FindsValuesThatAreNotFinite) {
  std::string block = encodeGguf(GgufType::q8_0, std::vector<float>(32, 1));
  block[1] = 0x7c; // the scale is infinite
  auto data = reinterpret_cast<const std::byte *>(block.data());
  float values[32];
  int8_t quants[32];
  uint16_t scale;
  EXPECT_FALSE(dequantizeGguf(GgufType::q8_0, data, 32, values));
  EXPECT_FALSE(readGgufGroups(GgufType::q8_0, data, 32, quants, &scale));
}
