//===- NumberFormats.h - bf16, f16 and e4m3 as bits -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Scalar conversions between float32 and the narrow formats of checkpoints.
// All round to nearest, ties to even, and keep NaN a NaN.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_BASE_NUMBERFORMATS_H
#define DSV2_RUNTIME_BASE_NUMBERFORMATS_H

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace dsv2 {

inline float bf16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t floatToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16ToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1fu;
  uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1fu)
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112u) << 23) |
                                (mantissa << 13));
  float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  return sign ? -magnitude : magnitude;
}

inline uint16_t floatToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) // rounds to at least 65536
    return sign | 0x7c00u;
  if (magnitude < 0x38800000u) { // subnormal in f16
    float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    return sign | static_cast<uint16_t>(std::nearbyint(scaled));
  }
  uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

/// OCP e4m3fn: no infinity, 0x7f and 0xff are NaN, largest value 448.
inline float e4m3ToFloat(uint8_t bits) {
  uint32_t exponent = (bits >> 3) & 0xfu;
  uint32_t mantissa = bits & 0x7u;
  float magnitude;
  if (exponent == 0xfu && mantissa == 0x7u)
    magnitude = std::numeric_limits<float>::quiet_NaN();
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(mantissa), -9);
  else
    magnitude = std::ldexp(static_cast<float>(8u + mantissa),
                           static_cast<int>(exponent) - 10);
  return (bits & 0x80u) ? -magnitude : magnitude;
}

/// Rounded to nearest even; beyond 448 the value is 448.
inline uint8_t floatToE4m3(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t sign = (bits >> 24) & 0x80u, magnitude = bits & 0x7fffffffu;
  // Beside 2^14, multiples of the smallest subnormal are the last bits.
  uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) -
      std::bit_cast<uint32_t>(0x1p14f);
  uint32_t normal =
      (magnitude + 0x7ffffu + ((magnitude >> 20) & 1u) - 0x3c000000u) >> 20;
  uint32_t result = magnitude < 0x3c800000u    ? subnormal
                    : magnitude < 0x43e00000u  ? normal // below 448
                    : magnitude <= 0x7f800000u ? 0x7eu
                                               : 0x7fu; // NaN
  return static_cast<uint8_t>(sign | result);
}

} // namespace dsv2

#endif // DSV2_RUNTIME_BASE_NUMBERFORMATS_H
