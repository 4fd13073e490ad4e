//===- PackedOperands.cpp - Activations and weights for tests -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/x86/PackedOperands.h"

#include "lowering/X86/PackWeights.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>
#include <cmath>

namespace dsv2::test {

std::string formatName(WeightFormat format) {
  constexpr const char *names[] = {"F32", "Bf16", "Int8", "Int4"};
  return names[static_cast<int>(format)];
}

static constexpr size_t guardBytes = 256;

Buffer::Buffer(size_t bytes)
    : size(bytes), storage(new std::byte[bytes + guardBytes + 64]) {
  auto address = reinterpret_cast<uintptr_t>(storage.get());
  start = storage.get() + (64 - address % 64) % 64;
  std::memset(start, 0xcd, size + guardBytes);
}

bool Buffer::guardIntact() const {
  return std::all_of(start + size, start + size + guardBytes,
                     [](std::byte b) { return b == std::byte{0xcd}; });
}

static void packInt8Row(float *values, int64_t depth, std::byte *out) {
  for (int64_t group = 0; group * groupSize < depth; ++group) {
    int64_t begin = group * groupSize;
    int64_t end = std::min(depth, begin + groupSize);
    float largest = 0.0f;
    for (int64_t k = begin; k < end; ++k)
      largest = std::max(largest, std::fabs(values[k]));
    float scale = largest / 127.0f;
    int32_t sum = 0;
    for (int64_t k = begin; k < end; ++k) {
      float quant = scale == 0.0f ? 0.0f : std::nearbyint(values[k] / scale);
      quant = std::clamp(quant, -127.0f, 127.0f);
      out[k] = static_cast<std::byte>(static_cast<int8_t>(quant));
      sum += static_cast<int32_t>(quant);
      values[k] = quant * scale;
    }
    std::memcpy(out + scalesOffset(depth) + group * 4, &scale, 4);
    std::memcpy(out + sumsOffset(depth) + group * 4, &sum, 4);
  }
}

static void packBf16Row(float *values, int64_t depth, std::byte *out) {
  for (int64_t k = 0; k < depth; ++k) {
    uint16_t bits = floatToBf16(values[k]);
    std::memcpy(out + k * 2, &bits, 2);
    values[k] = bf16ToFloat(bits);
  }
}

Buffer packRows(RowFormat format, std::vector<float> &values, int64_t depth) {
  int64_t rows = static_cast<int64_t>(values.size()) / depth;
  int64_t stride = rowBytes(format, depth);
  Buffer packed(rows * stride);
  std::memset(packed.data(), 0, rows * stride);
  for (int64_t row = 0; row < rows; ++row) {
    float *source = values.data() + row * depth;
    std::byte *out = packed.data() + row * stride;
    if (format == RowFormat::f32)
      std::memcpy(out, source, stride);
    else if (format == RowFormat::bf16)
      packBf16Row(source, depth, out);
    else
      packInt8Row(source, depth, out);
  }
  return packed;
}

Buffer packMatrices(WeightFormat format, std::vector<float> &values,
                    int64_t matrices, int64_t rows, int64_t depth) {
  int64_t bytes = packedWeightBytes(format, rows, depth);
  Buffer packed(matrices * bytes);
  for (int64_t i = 0; i < matrices; ++i) {
    float *matrix = values.data() + i * rows * depth;
    packWeights(format, {matrix, rows, depth, depth},
                packed.data() + i * bytes);
    unpackWeights(format, packed.data() + i * bytes, rows, depth, matrix);
  }
  return packed;
}

Dot dotProduct(const float *a, const float *b, int64_t depth) {
  Dot dot = {0, 0};
  for (int64_t k = 0; k < depth; ++k) {
    double product = static_cast<double>(a[k]) * b[k];
    dot.sum += product;
    dot.magnitude += std::fabs(product);
  }
  return dot;
}

} // namespace dsv2::test
