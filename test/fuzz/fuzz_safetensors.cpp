//===- fuzz_safetensors.cpp - Fuzzing of the safetensors reader -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Any bytes are refused with one line, or give tensors inside of the bytes.
//
//===----------------------------------------------------------------------===//

#include "models/Safetensors.h"

#include <cstdlib>

using namespace dsv2;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  auto views = parseSafetensors(bytes, "fuzz");
  if (!views.ok()) {
    const std::string &message = views.status().message();
    require(!message.empty() && message.find('\n') == std::string::npos);
    return 0;
  }
  for (const TensorView &view : *views) {
    int64_t expected = byteSize(view.dtype);
    for (int64_t dimension : view.shape)
      expected *= dimension;
    require(view.size == static_cast<size_t>(expected));
    require(view.data >= bytes.data() &&
            view.data + view.size <= bytes.data() + bytes.size());
  }
  return 0;
}
