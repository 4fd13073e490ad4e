//===- Safetensors.cpp - Reading one safetensors file ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Safetensors.h"

#include "models/JsonFields.h"

#include <algorithm>
#include <cstring>

using namespace dsv2;
using Json = nlohmann::json;

static constexpr size_t lengthBytes = 8;
/// The limit of the reference implementation; real headers are far smaller.
static constexpr uint64_t longestHeader = 100'000'000;
static constexpr size_t mostDimensions = 8;

namespace {
/// Reads the header of one file.
class HeaderReader {
public:
  HeaderReader(std::span<const std::byte> file, std::string_view path)
      : file(file), path(path) {}

  Result<std::vector<TensorView>> read();

private:
  Status corrupt(const std::string &text) const {
    return Status(StatusCode::dataLoss, path + ": " + text);
  }
  Result<TensorView> readTensor(const std::string &name, const Json &entry);
  Status readShape(const Json &entry, TensorView &view);
  Status readOffsets(const Json &entry, TensorView &view);
  Status checkCoverage(const std::vector<TensorView> &views) const;

  std::span<const std::byte> file;
  std::span<const std::byte> data;
  std::string path;
};
} // namespace

/// A tensor name as part of a message: one line of bounded length.
static std::string inMessage(const std::string &name) {
  return JsonFields::describe(Json(name));
}

/// A non-negative integer that fits into int64_t, or -1.
static int64_t toCount(const Json &value) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return -1;
  return value.get<int64_t>();
}

Status HeaderReader::readShape(const Json &entry, TensorView &view) {
  auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array() ||
      shape->size() > mostDimensions)
    return corrupt("tensor " + inMessage(view.name) +
                   " has no shape of at most 8 dimensions");
  int64_t bytes = byteSize(view.dtype);
  for (const Json &dimension : *shape) {
    int64_t size = toCount(dimension);
    if (size < 0)
      return corrupt("tensor " + inMessage(view.name) + " has the dimension " +
                     JsonFields::describe(dimension) +
                     ", expected an integer of 0 or more");
    if (__builtin_mul_overflow(bytes, size, &bytes))
      return corrupt("the shape of tensor " + inMessage(view.name) +
                     " overflows 64 bits");
    view.shape.push_back(size);
  }
  view.size = static_cast<size_t>(bytes);
  return Status();
}

Status HeaderReader::readOffsets(const Json &entry, TensorView &view) {
  auto offsets = entry.find("data_offsets");
  bool isPair =
      offsets != entry.end() && offsets->is_array() && offsets->size() == 2;
  int64_t begin = isPair ? toCount((*offsets)[0]) : -1;
  int64_t end = isPair ? toCount((*offsets)[1]) : -1;
  if (begin < 0 || end < begin)
    return corrupt("tensor " + inMessage(view.name) +
                   " has no valid pair of data_offsets");
  if (static_cast<uint64_t>(end) > data.size())
    return corrupt("tensor " + inMessage(view.name) + " ends at byte " +
                   std::to_string(end) + " of the data, but the file holds " +
                   std::to_string(data.size()) +
                   "; it is truncated, download it again");
  if (static_cast<uint64_t>(end - begin) != view.size)
    return corrupt("tensor " + inMessage(view.name) + " spans " +
                   std::to_string(end - begin) +
                   " bytes, but its shape and type need " +
                   std::to_string(view.size));
  view.data = data.data() + begin;
  return Status();
}

Result<TensorView> HeaderReader::readTensor(const std::string &name,
                                            const Json &entry) {
  TensorView view;
  view.name = name;
  if (!entry.is_object())
    return corrupt("tensor " + inMessage(name) + " is " +
                   JsonFields::describe(entry) + ", expected an object");
  auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string())
    return corrupt("tensor " + inMessage(name) + " has no dtype");
  auto known = dataTypeFromName(dtype->get_ref<const std::string &>());
  if (!known)
    return Status(StatusCode::incompatible,
                  path + ": tensor " + inMessage(name) + " has the dtype " +
                      JsonFields::describe(*dtype) +
                      ", which dsv2 does not know");
  view.dtype = *known;
  DSV2_RETURN_IF_ERROR(readShape(entry, view));
  DSV2_RETURN_IF_ERROR(readOffsets(entry, view));
  return view;
}

/// Tensors must tile the data: neither overlaps, nor holes, nor a rest.
Status HeaderReader::checkCoverage(const std::vector<TensorView> &views) const {
  std::vector<const TensorView *> byOffset;
  for (const TensorView &view : views)
    byOffset.push_back(&view);
  std::sort(byOffset.begin(), byOffset.end(),
            [](const TensorView *a, const TensorView *b) {
              return a->data != b->data ? a->data < b->data : a->size < b->size;
            });
  const std::byte *next = data.data();
  for (const TensorView *view : byOffset) {
    if (view->data != next)
      return corrupt("tensor " + inMessage(view->name) + " begins at byte " +
                     std::to_string(view->data - data.data()) +
                     " of the data, expected " +
                     std::to_string(next - data.data()) + ": the tensors " +
                     (view->data < next ? "overlap" : "leave a hole"));
    next += view->size;
  }
  if (next != data.data() + data.size())
    return corrupt("the tensors end at byte " +
                   std::to_string(next - data.data()) + " of " +
                   std::to_string(data.size()) + " bytes of data");
  return Status();
}

Result<std::vector<TensorView>> HeaderReader::read() {
  if (file.size() < lengthBytes)
    return corrupt("expected a safetensors file, found only " +
                   std::to_string(file.size()) + " bytes");
  uint64_t headerSize = 0;
  for (size_t i = 0; i < lengthBytes; ++i)
    headerSize |= static_cast<uint64_t>(file[i]) << (8 * i);
  if (headerSize > longestHeader || headerSize > file.size() - lengthBytes)
    return corrupt("its header is " + std::to_string(headerSize) +
                   " bytes long, but the file has " +
                   std::to_string(file.size()) +
                   "; it is truncated or not a safetensors file");
  data = file.subspan(lengthBytes + headerSize);

  std::string_view text(
      reinterpret_cast<const char *>(file.data()) + lengthBytes, headerSize);
  if (!text.starts_with('{'))
    return corrupt("its header does not begin with '{'; it is not a "
                   "safetensors file");
  Json header = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    return corrupt("its header is not valid JSON");

  std::vector<TensorView> views;
  views.reserve(header.size());
  for (const auto &[name, entry] : header.items()) {
    if (name == "__metadata__")
      continue;
    Result<TensorView> view = readTensor(name, entry);
    if (!view.ok())
      return view.status();
    views.push_back(*std::move(view));
  }
  // A name that occurs twice loses one entry above and shows as a hole here.
  DSV2_RETURN_IF_ERROR(checkCoverage(views));
  return views; // items() are sorted by name
}

Result<std::vector<TensorView>>
dsv2::parseSafetensors(std::span<const std::byte> file, std::string_view path) {
  return HeaderReader(file, path).read();
}

Result<Safetensors> Safetensors::open(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.status();
  Safetensors result;
  result.file = *std::move(file);
  auto views = parseSafetensors(result.file.bytes(), path);
  if (!views.ok())
    return views.status();
  result.views = *std::move(views);
  return result;
}

const TensorView *Safetensors::find(std::string_view name) const {
  auto found =
      std::lower_bound(views.begin(), views.end(), name,
                       [](const TensorView &view, std::string_view key) {
                         return view.name < key;
                       });
  return found != views.end() && found->name == name ? &*found : nullptr;
}
