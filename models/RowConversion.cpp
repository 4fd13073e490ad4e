//===- RowConversion.cpp - Checkpoint formats to float32 ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Values outside of the finite range are found by an integer maximum over the
// magnitudes, which costs nothing beside the memory traffic.
//
// f16 and e4m3 become float32 by moving exponent and mantissa into place and
// multiplying by a power of two that corrects the exponent bias. This is exact,
// subnormal numbers included.
//
//===----------------------------------------------------------------------===//

#include "models/RowConversion.h"

#include <algorithm>
#include <bit>
#include <cstring>

using namespace dsv2;

template <typename Word>
static Word load(const std::byte *source, int64_t index) {
  Word word;
  std::memcpy(&word, source + index * static_cast<int64_t>(sizeof(Word)),
              sizeof(Word));
  return word;
}

bool dsv2::convertF32(const std::byte *source, int64_t count, float *out) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = load<uint32_t>(source, i);
    out[i] = std::bit_cast<float>(bits);
    largest = std::max(largest, static_cast<int32_t>(bits & 0x7fffffffu));
  }
  return largest < 0x7f800000;
}

bool dsv2::convertBf16(const std::byte *source, int64_t count, float *out) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = static_cast<uint32_t>(load<uint16_t>(source, i)) << 16;
    out[i] = std::bit_cast<float>(bits);
    largest = std::max(largest, static_cast<int32_t>(bits & 0x7fffffffu));
  }
  return largest < 0x7f800000;
}

bool dsv2::convertF16(const std::byte *source, int64_t count, float *out) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = load<uint16_t>(source, i);
    uint32_t magnitude = bits & 0x7fffu;
    float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    out[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(value) |
                                  (bits & 0x8000u) << 16);
    largest = std::max(largest, static_cast<int32_t>(magnitude));
  }
  return largest < 0x7c00;
}

bool dsv2::convertE4m3(const std::byte *source, int64_t count, float scale,
                       float *out) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = static_cast<uint32_t>(source[i]);
    uint32_t magnitude = bits & 0x7fu;
    float value = std::bit_cast<float>(magnitude << 20) * 0x1p120f;
    out[i] = scale * std::bit_cast<float>(std::bit_cast<uint32_t>(value) |
                                          (bits & 0x80u) << 24);
    largest = std::max(largest, static_cast<int32_t>(magnitude));
  }
  return largest < 0x7f;
}
