//===- GgufDequantize.cpp - GGUF rows as numbers --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Blocks of 32 have one f16 scale d and, some of them, an f16 minimum m. The
// "K" blocks of 256 have, besides, a scale and perhaps a minimum of few bits
// for each 16 or 32 elements. Wherever a block holds halves of bytes, the low
// ones come first and the high ones 16 or 32 elements later.
//
//===----------------------------------------------------------------------===//

#include "models/GgufDequantize.h"

#include "models/RowConversion.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>
#include <bit>
#include <cstring>

using namespace dsv2;

namespace {

using Bytes = const uint8_t *;

uint16_t read16(Bytes at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}
float readF16(Bytes at) { return f16ToFloat(read16(at)); }

/// The values of the 4-bit codes of IQ4_NL and IQ4_XS.
constexpr int8_t nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

int lowHalf(uint8_t byte) { return byte & 15; }
int highHalf(uint8_t byte) { return byte >> 4; }

/// Calls `store(i, code)` for the 32 codes of 16 bytes.
template <typename Store>
void forHalves(Bytes codes, Store store) {
  for (int j = 0; j < 16; ++j) {
    store(j, lowHalf(codes[j]));
    store(j + 16, highHalf(codes[j]));
  }
}

/// The fifth bits of Q5_0 and Q5_1.
int withFifthBit(Bytes bits, int i, int code) {
  return code | (bits[i / 8] >> (i % 8) & 1) << 4;
}

/// The centered quants of a block of 32 whose groups are exact.
void readQuants(GgufType type, Bytes block, int8_t *quants) {
  Bytes codes = block + 2;
  switch (type) {
  case GgufType::q4_0:
    return forHalves(codes, [&](int i, int code) {
      quants[i] = static_cast<int8_t>(code - 8);
    });
  case GgufType::q5_0:
    return forHalves(codes + 4, [&](int i, int code) {
      quants[i] = static_cast<int8_t>(withFifthBit(codes, i, code) - 16);
    });
  case GgufType::iq4_nl:
    return forHalves(codes,
                     [&](int i, int code) { quants[i] = nonlinear[code]; });
  default: // Q8_0
    std::memcpy(quants, codes, 32);
  }
}

void dequantizeExact(GgufType type, Bytes block, float *out) {
  int8_t quants[32];
  readQuants(type, block, quants);
  float d = readF16(block);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(quants[i]);
}

/// Q4_1 and Q5_1.
void dequantizeWithMinimum(GgufType type, Bytes block, float *out) {
  float d = readF16(block), m = readF16(block + 2);
  bool five = type == GgufType::q5_1;
  forHalves(block + (five ? 8 : 4), [&](int i, int code) {
    int quant = five ? withFifthBit(block + 4, i, code) : code;
    out[i] = d * static_cast<float>(quant) + m;
  });
}

/// Sixteen scales and minimums of 4 bits, 2-bit quants.
void dequantizeQ2K(Bytes block, float *out) {
  Bytes scales = block, codes = block + 16;
  float d = readF16(block + 80), dmin = readF16(block + 82);
  for (int i = 0; i < 256; ++i) {
    int group = i / 16, half = i / 128, shift = i % 128 / 32 * 2;
    float scale = d * static_cast<float>(lowHalf(scales[group]));
    float minimum = dmin * static_cast<float>(highHalf(scales[group]));
    int quant = codes[half * 32 + i % 32] >> shift & 3;
    out[i] = scale * static_cast<float>(quant) - minimum;
  }
}

/// Sixteen signed scales of 6 bits, 3-bit quants of which a mask holds the
/// highest bit.
void dequantizeQ3K(Bytes block, float *out) {
  Bytes mask = block, codes = block + 32, scales = block + 96;
  float d = readF16(block + 108);
  for (int i = 0; i < 256; ++i) {
    int group = i / 16, half = i / 128, shift = i % 128 / 32 * 2;
    int low = group < 8 ? lowHalf(scales[group]) : highHalf(scales[group - 8]);
    int high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
    float scale = d * static_cast<float>((low | high << 4) - 32);
    int quant = codes[half * 32 + i % 32] >> shift & 3;
    bool isHigh = mask[i % 32] >> (i / 32) & 1;
    out[i] = scale * static_cast<float>(quant - (isHigh ? 0 : 4));
  }
}

/// The scales and minimums, of 6 bits, of the eight groups of 32 of Q4_K and
/// Q5_K.
void unpackScales(Bytes packed, int group, int &scale, int &minimum) {
  if (group < 4) {
    scale = packed[group] & 63;
    minimum = packed[group + 4] & 63;
    return;
  }
  scale = lowHalf(packed[group + 4]) | packed[group - 4] >> 6 << 4;
  minimum = highHalf(packed[group + 4]) | packed[group] >> 6 << 4;
}

/// Q4_K, and Q5_K, which has the fifth bits in 32 bytes before the others.
void dequantizeQ45K(Bytes block, bool five, float *out) {
  float d = readF16(block), dmin = readF16(block + 2);
  Bytes fifth = block + 16, codes = block + (five ? 48 : 16);
  for (int group = 0; group < 8; ++group) {
    int scale, minimum;
    unpackScales(block + 4, group, scale, minimum);
    float step = d * static_cast<float>(scale);
    float offset = dmin * static_cast<float>(minimum);
    for (int i = 0; i < 32; ++i) {
      uint8_t byte = codes[group / 2 * 32 + i];
      int quant = group % 2 ? highHalf(byte) : lowHalf(byte);
      if (five)
        quant |= (fifth[i] >> group & 1) << 4;
      *out++ = step * static_cast<float>(quant) - offset;
    }
  }
}

/// Sixteen signed scales of 8 bits, 6-bit quants of which 64 bytes hold the
/// two highest bits.
void dequantizeQ6K(Bytes block, float *out) {
  Bytes low = block, high = block + 128, scales = block + 192;
  float d = readF16(block + 208);
  for (int i = 0; i < 256; ++i) {
    int half = i / 128, quarter = i % 128 / 32, j = i % 32;
    uint8_t byte = low[half * 64 + quarter % 2 * 32 + j];
    int quant = quarter < 2 ? lowHalf(byte) : highHalf(byte);
    quant |= (high[half * 32 + j] >> (2 * quarter) & 3) << 4;
    float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = scale * static_cast<float>(quant - 32);
  }
}

/// Eight signed scales of 6 bits, nonlinear codes.
void dequantizeIq4Xs(Bytes block, float *out) {
  float d = readF16(block);
  uint16_t high = read16(block + 2);
  Bytes low = block + 4;
  for (int group = 0; group < 8; ++group, out += 32) {
    int scale = (low[group / 2] >> (group % 2 * 4) & 15) |
                (high >> (2 * group) & 3) << 4;
    float step = d * static_cast<float>(scale - 32);
    forHalves(block + 8 + group * 16, [&](int i, int code) {
      out[i] = step * static_cast<float>(nonlinear[code]);
    });
  }
}

void dequantizeBlock(GgufType type, Bytes block, float *out) {
  switch (type) {
  case GgufType::q4_1:
  case GgufType::q5_1:
    return dequantizeWithMinimum(type, block, out);
  case GgufType::q2_k:
    return dequantizeQ2K(block, out);
  case GgufType::q3_k:
    return dequantizeQ3K(block, out);
  case GgufType::q4_k:
  case GgufType::q5_k:
    return dequantizeQ45K(block, type == GgufType::q5_k, out);
  case GgufType::q6_k:
    return dequantizeQ6K(block, out);
  case GgufType::iq4_xs:
    return dequantizeIq4Xs(block, out);
  default:
    return dequantizeExact(type, block, out);
  }
}

} // namespace

bool dsv2::dequantizeGguf(GgufType type, const std::byte *source, int64_t count,
                          float *out) {
  switch (type) {
  case GgufType::f32:
    return convertF32(source, count, out);
  case GgufType::f16:
    return convertF16(source, count, out);
  case GgufType::bf16:
    return convertBf16(source, count, out);
  default:
    break;
  }
  const GgufTypeInfo &info = infoOf(type);
  auto block = reinterpret_cast<Bytes>(source);
  for (int64_t i = 0; i < count; i += info.blockElements) {
    dequantizeBlock(type, block, out + i);
    block += info.blockBytes;
  }
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<int32_t>(out[i]) & 0x7fffffff);
  return largest < 0x7f800000;
}

bool dsv2::readGgufGroups(GgufType type, const std::byte *source, int64_t count,
                          int8_t *quants, uint16_t *scales) {
  const GgufTypeInfo &info = infoOf(type);
  auto block = reinterpret_cast<Bytes>(source);
  uint16_t largest = 0;
  for (int64_t i = 0; i < count; i += info.blockElements) {
    readQuants(type, block, quants + i);
    *scales = read16(block);
    largest = std::max<uint16_t>(largest, *scales++ & 0x7fff);
    block += info.blockBytes;
  }
  return largest < 0x7c00;
}
