//===- SafetensorsTest.cpp - Valid and damaged safetensors files ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Safetensors.h"
#include "test/models/CheckpointBuilder.h"

using namespace dsv2;
using namespace dsv2::test;
using Json = nlohmann::json;

static Result<std::vector<TensorView>> parse(const std::string &image) {
  return parseSafetensors(std::as_bytes(std::span(image)), "file");
}

static Status parseStatus(const std::string &header, const std::string &data) {
  return parse(safetensorsImage(header, data)).status();
}

/// The status of a file whose one tensor is described by `entry`.
static Status entryStatus(const Json &entry, size_t dataSize) {
  return parseStatus(Json{{"w", entry}}.dump(), std::string(dataSize, 'x'));
}

TEST(Safetensors, ReadsTensorsOfEveryType) {
  RawTensors tensors;
  const std::pair<const char *, int64_t> types[] = {
      {"F64", 8},     {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1},
      {"F8_E5M2", 1}, {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},
      {"U64", 8},     {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}};
  for (auto [type, bytes] : types)
    tensors[type] = {type, {2, 3}, std::string(6 * bytes, type[0])};
  CheckpointDirectory directory;
  directory.write("a.safetensors", safetensorsImage(tensors));
  Result<Safetensors> file = Safetensors::open(directory / "a.safetensors");
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors().size(), std::size(types));
  for (auto [type, bytes] : types) {
    const TensorView *view = file->find(type);
    ASSERT_NE(view, nullptr) << type;
    EXPECT_EQ(nameOf(view->dtype), type);
    EXPECT_EQ(view->shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(view->size, static_cast<size_t>(6 * bytes));
    EXPECT_EQ(static_cast<char>(view->data[0]), type[0]);
  }
  EXPECT_EQ(file->find("absent"), nullptr);
  EXPECT_EQ(file->find("__metadata__"), nullptr);
}

TEST(Safetensors, ReadsScalarsEmptyTensorsAndEmptyFiles) {
  auto views = parse(safetensorsImage(RawTensors{
      {"empty", {"F32", {0, 7}, ""}}, {"scalar", {"F32", {}, "abcd"}}}));
  ASSERT_TRUE(views.ok()) << views.status().message();
  EXPECT_EQ(views->size(), 2u);
  EXPECT_TRUE(parse(safetensorsImage("{}", "")).ok());
}

TEST(Safetensors, RefusesDamagedFiles) {
  expectFailure(parse("").status(), {"0 bytes"});
  expectFailure(parse("1234567").status(), {"7 bytes"});
  expectFailure(parse(std::string(8, '\xff')).status(), {"truncated"});
  expectFailure(parseStatus("", ""), {"begin with '{'"});
  expectFailure(parseStatus("[]", ""), {"begin with '{'"});
  expectFailure(parseStatus("{\"w\":", ""), {"valid JSON"});
  expectFailure(parseStatus("{\"\xff\":1}", ""), {"valid JSON"});
  std::string image = safetensorsImage(RawTensors{{"w", {"U8", {4}, "abcd"}}});
  for (size_t size = 0; size < image.size(); ++size)
    expectFailure(parse(image.substr(0, size)).status(), {"file: "});
  expectFailure(parse(image + "x").status(), {"end at byte 4 of 5"});
}

TEST(Safetensors, RefusesBadEntries) {
  Json good = {{"dtype", "U8"}, {"shape", {4}}, {"data_offsets", {0, 4}}};
  ASSERT_TRUE(entryStatus(good, 4).ok());
  auto with = [&](const char *key, Json value, size_t dataSize = 4) {
    Json entry = good;
    entry[key] = std::move(value);
    return entryStatus(entry, dataSize);
  };
  expectFailure(entryStatus(3, 0), {"\"w\"", "expected an object"});
  expectFailure(with("dtype", "F4"), {"F4", "does not know"});
  expectFailure(with("dtype", 1), {"no dtype"});
  for (Json shape : {Json(4), Json(nullptr), Json(std::vector<int>(9, 1))})
    expectFailure(with("shape", shape), {"no shape"});
  for (Json size : {Json(-1), Json(1.5), Json("4"), Json(UINT64_MAX)})
    expectFailure(with("shape", Json::array({size})), {"dimension"});
  expectFailure(with("shape", {INT64_MAX, 2}), {"overflows"});
  expectFailure(with("shape", {int64_t(1) << 32, int64_t(1) << 32}),
                {"overflows"});
  expectFailure(with("shape", {5}), {"spans 4 bytes", "need 5"});
  for (Json offsets :
       {Json(0), Json::array({0}), Json::array({0, 4, 8}), Json::array({4, 0}),
        Json::array({-4, 0}), Json::array({0, 4.5}), Json(nullptr)})
    expectFailure(with("data_offsets", offsets), {"data_offsets"});
  expectFailure(with("data_offsets", {4, 8}), {"ends at byte 8", "truncated"});
  expectFailure(with("data_offsets", {0, INT64_MAX}), {"truncated"});
}

TEST(Safetensors, RefusesOverlapsAndHoles) {
  auto entry = [](int begin, int end) {
    return Json{{"dtype", "U8"},
                {"shape", {end - begin}},
                {"data_offsets", {begin, end}}};
  };
  auto status = [](const Json &header) {
    return parseStatus(header.dump(), "12345678");
  };
  EXPECT_TRUE(status({{"a", entry(0, 4)}, {"b", entry(4, 8)}}).ok());
  EXPECT_TRUE(status({{"a", entry(4, 8)}, {"b", entry(0, 4)}}).ok());
  expectFailure(status({{"a", entry(0, 5)}, {"b", entry(4, 8)}}), {"overlap"});
  expectFailure(status({{"a", entry(0, 8)}, {"b", entry(0, 8)}}), {"overlap"});
  expectFailure(status({{"a", entry(0, 3)}, {"b", entry(4, 8)}}), {"hole"});
  expectFailure(status({{"a", entry(1, 8)}}), {"hole"});
  // The second entry of a name replaces the first, whose bytes are then free.
  std::string twice =
      "{\"a\":" + entry(0, 4).dump() + ",\"a\":" + entry(4, 8).dump() + "}";
  expectFailure(parseStatus(twice, "12345678"), {"hole"});
}

TEST(Safetensors, ReportsAbsentFiles) {
  Result<Safetensors> file = Safetensors::open("/nonexistent/x.safetensors");
  expectFailure(file.status(), {"/nonexistent/x.safetensors", "No such file"});
  EXPECT_EQ(file.status().code(), StatusCode::notFound);
  expectFailure(Safetensors::open("/").status(), {"directory"});
}
