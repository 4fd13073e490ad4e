//===- Gguf.cpp - Reading one GGUF file -----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Gguf.h"

#include "models/JsonFields.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>

using namespace dsv2;
using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little);

static constexpr std::string_view magic = "GGUF";
static constexpr uint32_t mostDimensions = 4;

namespace {

/// The kinds of metadata values, by the numbers that files hold.
enum class ValueKind : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  text,
  array,
  u64,
  i64,
  f64,
};

class GgufReader {
public:
  GgufReader(std::span<const std::byte> file, std::string_view path)
      : file(file), path(path) {}

  Result<GgufContents> read();

private:
  Status corrupt(const std::string &text) const {
    return Status(StatusCode::dataLoss, path + ": " + text);
  }
  Status truncated() const {
    return corrupt("the file ends inside of its " + part +
                   "; it is truncated, download it again");
  }
  size_t left() const { return file.size() - at; }

  template <typename T>
  Status number(T &value);
  Status text(std::string_view &value);
  Status scalar(ValueKind kind, Json &value);
  Status array(const std::string &key);
  Status entry();
  Status tensor();
  Status alignment(uint64_t &value) const;
  Status placeTensors(size_t dataStart, uint64_t alignment);

  std::span<const std::byte> file;
  std::string path;
  size_t at = 0;
  std::string part = "header";
  GgufContents contents;
  std::vector<uint64_t> offsets; ///< of each tensor in the data
};

} // namespace

/// A name as part of a message: one line of bounded length.
static std::string inMessage(std::string_view name) {
  return JsonFields::describe(Json(std::string(name)));
}

/// The shortest decimal that is `value` as a float: what its author wrote.
static double shortest(float value) {
  char digits[32];
  auto [end, error] = std::to_chars(digits, std::end(digits), value);
  double result = value;
  if (error == std::errc())
    std::from_chars(digits, end, result);
  return result;
}

size_t GgufTensor::rowBytes() const {
  const GgufTypeInfo &info = infoOf(type);
  int64_t width = shape.empty() ? 1 : shape.back();
  return static_cast<size_t>(width / info.blockElements * info.blockBytes);
}

template <typename T>
Status GgufReader::number(T &value) {
  if (left() < sizeof(T))
    return truncated();
  std::memcpy(&value, file.data() + at, sizeof(T));
  at += sizeof(T);
  return Status();
}

Status GgufReader::text(std::string_view &value) {
  uint64_t size = 0;
  DSV2_RETURN_IF_ERROR(number(size));
  if (size > left())
    return truncated();
  value = {reinterpret_cast<const char *>(file.data()) + at,
           static_cast<size_t>(size)};
  at += static_cast<size_t>(size);
  return Status();
}

Status GgufReader::scalar(ValueKind kind, Json &value) {
  auto take = [&](auto number) {
    Status status = this->number(number);
    value = number;
    return status;
  };
  switch (kind) {
  case ValueKind::u8:
    return take(uint8_t());
  case ValueKind::i8:
    return take(int8_t());
  case ValueKind::u16:
    return take(uint16_t());
  case ValueKind::i16:
    return take(int16_t());
  case ValueKind::u32:
    return take(uint32_t());
  case ValueKind::i32:
    return take(int32_t());
  case ValueKind::u64:
    return take(uint64_t());
  case ValueKind::i64:
    return take(int64_t());
  case ValueKind::f64:
    return take(double());
  case ValueKind::f32: {
    float single = 0;
    DSV2_RETURN_IF_ERROR(number(single));
    value = shortest(single);
    return Status();
  }
  case ValueKind::boolean: {
    uint8_t byte = 0;
    DSV2_RETURN_IF_ERROR(number(byte));
    value = byte != 0;
    return Status();
  }
  case ValueKind::text: {
    std::string_view view;
    DSV2_RETURN_IF_ERROR(text(view));
    value = std::string(view);
    return Status();
  }
  case ValueKind::array:
    break;
  }
  return corrupt("its " + part + " has a value of the kind " +
                 std::to_string(static_cast<uint32_t>(kind)) +
                 ", expected 0 to 12; it is damaged");
}

/// Texts and integers are kept, other arrays are passed over.
Status GgufReader::array(const std::string &key) {
  uint32_t number32 = 0;
  uint64_t count = 0;
  DSV2_RETURN_IF_ERROR(number(number32));
  DSV2_RETURN_IF_ERROR(number(count));
  auto kind = static_cast<ValueKind>(number32);
  if (kind == ValueKind::array)
    return corrupt("its metadata " + inMessage(key) +
                   " is an array of arrays, which dsv2 does not read");
  contents.values[key] = Json::array();
  if (kind == ValueKind::text) {
    // Each takes at least the bytes of its length.
    if (count > left() / sizeof(uint64_t))
      return truncated();
    std::vector<std::string_view> &texts = contents.texts[key];
    texts.resize(static_cast<size_t>(count));
    for (std::string_view &view : texts)
      DSV2_RETURN_IF_ERROR(text(view));
    return Status();
  }
  if (count > left())
    return truncated();
  bool isInteger = kind != ValueKind::f32 && kind != ValueKind::f64;
  std::vector<int64_t> integers;
  Json value;
  for (uint64_t i = 0; i < count; ++i) {
    DSV2_RETURN_IF_ERROR(scalar(kind, value));
    if (isInteger)
      integers.push_back(value.is_boolean() ? value.get<bool>()
                                            : value.get<int64_t>());
  }
  if (isInteger)
    contents.integers.emplace(key, std::move(integers));
  return Status();
}

Status GgufReader::entry() {
  std::string_view name;
  DSV2_RETURN_IF_ERROR(text(name));
  std::string key(name);
  if (contents.values.contains(key))
    return corrupt("its metadata has the key " + inMessage(key) + " twice");
  uint32_t kind = 0;
  DSV2_RETURN_IF_ERROR(number(kind));
  if (static_cast<ValueKind>(kind) == ValueKind::array)
    return array(key);
  Json value;
  DSV2_RETURN_IF_ERROR(scalar(static_cast<ValueKind>(kind), value));
  contents.values[key] = std::move(value);
  return Status();
}

Status GgufReader::tensor() {
  GgufTensor tensor;
  std::string_view name;
  DSV2_RETURN_IF_ERROR(text(name));
  tensor.name = name;
  uint32_t rank = 0, type = 0;
  DSV2_RETURN_IF_ERROR(number(rank));
  if (rank == 0 || rank > mostDimensions)
    return corrupt("tensor " + inMessage(name) + " has " +
                   std::to_string(rank) + " dimensions, expected 1 to 4");
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    int64_t size = 0;
    DSV2_RETURN_IF_ERROR(number(size));
    // Bits of an element come on top of their number.
    if (size < 1 || __builtin_mul_overflow(elements, size, &elements) ||
        elements > INT64_MAX / 8)
      return corrupt("the shape of tensor " + inMessage(name) +
                     " is not positive or overflows 64 bits");
    tensor.shape.insert(tensor.shape.begin(), size);
  }
  DSV2_RETURN_IF_ERROR(number(type));
  const GgufTypeInfo *info = findGgufType(type);
  if (!info)
    return Status(StatusCode::incompatible,
                  path + ": tensor " + inMessage(name) + " has the GGUF type " +
                      std::to_string(type) + ", expected one of " +
                      ggufTypeNames());
  tensor.type = info->type;
  if (tensor.shape.back() % info->blockElements != 0)
    return corrupt("tensor " + inMessage(name) + " has rows of " +
                   std::to_string(tensor.shape.back()) +
                   " elements, expected a multiple of " +
                   std::to_string(info->blockElements) + " in " +
                   std::string(info->name));
  tensor.size =
      static_cast<size_t>(elements / info->blockElements * info->blockBytes);
  uint64_t offset = 0;
  DSV2_RETURN_IF_ERROR(number(offset));
  offsets.push_back(offset);
  contents.tensors.push_back(std::move(tensor));
  return Status();
}

Status GgufReader::alignment(uint64_t &value) const {
  constexpr int64_t usual = 32, largest = 1 << 20;
  JsonFields fields(contents.values, path);
  value = static_cast<uint64_t>(
      fields.integer("general.alignment", 1, largest, usual));
  if (fields.ok() && !std::has_single_bit(value))
    fields.fail("general.alignment is " + std::to_string(value) +
                ", expected a power of two");
  return fields.status();
}

/// Gives tensors their data; they must lie in the file and not overlap.
Status GgufReader::placeTensors(size_t dataStart, uint64_t alignment) {
  size_t dataSize = dataStart <= file.size() ? file.size() - dataStart : 0;
  for (size_t i = 0; i < offsets.size(); ++i) {
    GgufTensor &tensor = contents.tensors[i];
    if (offsets[i] % alignment != 0)
      return corrupt("tensor " + inMessage(tensor.name) + " begins at byte " +
                     std::to_string(offsets[i]) +
                     " of the data, expected a multiple of " +
                     std::to_string(alignment));
    if (offsets[i] > dataSize || tensor.size > dataSize - offsets[i])
      return corrupt(
          "tensor " + inMessage(tensor.name) + " needs " +
          std::to_string(tensor.size) + " bytes from byte " +
          std::to_string(offsets[i]) + " of the data on, but the file holds " +
          std::to_string(dataSize) + "; it is truncated, download it again");
    tensor.data = file.data() + dataStart + offsets[i];
  }
  std::vector<GgufTensor> &tensors = contents.tensors;
  std::sort(
      tensors.begin(), tensors.end(),
      [](const GgufTensor &a, const GgufTensor &b) { return a.data < b.data; });
  for (size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i].data < tensors[i - 1].data + tensors[i - 1].size)
      return corrupt("the tensors " + inMessage(tensors[i - 1].name) + " and " +
                     inMessage(tensors[i].name) + " overlap");
  std::sort(
      tensors.begin(), tensors.end(),
      [](const GgufTensor &a, const GgufTensor &b) { return a.name < b.name; });
  for (size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i].name == tensors[i - 1].name)
      return corrupt("it has the tensor " + inMessage(tensors[i].name) +
                     " twice");
  return Status();
}

Result<GgufContents> GgufReader::read() {
  if (left() < magic.size() ||
      std::memcmp(file.data(), magic.data(), magic.size()) != 0)
    return corrupt("it does not begin with GGUF; it is not a GGUF file");
  at = magic.size();
  uint32_t version = 0;
  uint64_t tensorCount = 0, entryCount = 0;
  DSV2_RETURN_IF_ERROR(number(version));
  if (version != 2 && version != 3)
    return Status(StatusCode::incompatible,
                  path + ": it is GGUF version " + std::to_string(version) +
                      ", expected 2 or 3 in little-endian order; convert the "
                      "model again");
  DSV2_RETURN_IF_ERROR(number(tensorCount));
  DSV2_RETURN_IF_ERROR(number(entryCount));
  part = "metadata";
  for (uint64_t i = 0; i < entryCount; ++i)
    DSV2_RETURN_IF_ERROR(entry());
  part = "list of tensors";
  for (uint64_t i = 0; i < tensorCount; ++i)
    DSV2_RETURN_IF_ERROR(tensor());
  uint64_t boundary = 0;
  DSV2_RETURN_IF_ERROR(alignment(boundary));
  size_t dataStart = (at + boundary - 1) / boundary * boundary;
  DSV2_RETURN_IF_ERROR(placeTensors(dataStart, boundary));
  return std::move(contents);
}

Result<GgufContents> dsv2::parseGguf(std::span<const std::byte> file,
                                     std::string_view path) {
  return GgufReader(file, path).read();
}

Result<GgufFile> GgufFile::open(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.status();
  GgufFile result;
  result.file = *std::move(file);
  Result<GgufContents> contents = parseGguf(result.file.bytes(), path);
  if (!contents.ok())
    return contents.status();
  result.parsed = *std::move(contents);
  return result;
}

bool GgufFile::isGguf(const std::string &path) {
  char first[4] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(first, sizeof(first)) &&
         std::string_view(first, sizeof(first)) == magic;
}
