//===- fuzz_gguf.cpp - Fuzzing of the GGUF reader -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Any bytes are refused with one line, or give tensors inside of the bytes, all
// of whose values can be read; so do their config and tokenizer.
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"
#include "models/GgufConfig.h"
#include "models/GgufDequantize.h"
#include "models/tokenizer/GgufTokenizer.h"

#include <algorithm>
#include <cstdlib>

using namespace dsv2;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

static void requireOneLine(const Status &status) {
  require(!status.message().empty() &&
          status.message().find('\n') == std::string::npos);
}

static void readTensor(const GgufTensor &tensor,
                       std::span<const std::byte> file) {
  require(tensor.data >= file.data() &&
          tensor.data + tensor.size <= file.data() + file.size());
  int64_t count = 1;
  for (int64_t dimension : tensor.shape)
    count *= dimension;
  std::vector<float> values(static_cast<size_t>(count));
  dequantizeGguf(tensor.type, tensor.data, count, values.data());
  const GgufTypeInfo &info = infoOf(tensor.type);
  if (info.groups == GroupFormat::none || !info.isExact)
    return;
  std::vector<int8_t> quants(values.size());
  std::vector<uint16_t> scales(values.size() / groupElements);
  readGgufGroups(tensor.type, tensor.data, count, quants.data(), scales.data());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  Result<GgufContents> file = parseGguf(bytes, "fuzz");
  if (!file.ok()) {
    requireOneLine(file.status());
    return 0;
  }
  for (const GgufTensor &tensor : file->tensors)
    readTensor(tensor, bytes);
  std::vector<std::string> notes;
  auto find = [&](std::string_view name) -> const GgufTensor * {
    auto found = std::find_if(
        file->tensors.begin(), file->tensors.end(),
        [&](const GgufTensor &tensor) { return tensor.name == name; });
    return found == file->tensors.end() ? nullptr : &*found;
  };
  Result<std::string> json = ggufConfigJson(*file, find, "fuzz", notes);
  if (!json.ok())
    requireOneLine(json.status());
  else if (Result<Config> config = parseConfig(*json, "fuzz"); !config.ok())
    requireOneLine(config.status());
  Result<std::optional<TokenizerModel>> tokenizer =
      readGgufTokenizer(*file, "fuzz");
  if (!tokenizer.ok())
    requireOneLine(tokenizer.status());
  return 0;
}
