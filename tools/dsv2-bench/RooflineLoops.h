//===- RooflineLoops.h - Loops that do one thing only -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_ROOFLINELOOPS_H
#define DSV2_TOOLS_BENCH_ROOFLINELOOPS_H

#include <cstddef>
#include <cstdint>

namespace dsv2 {

/// Read `bytes`, a multiple of 512, once.
void readPortable(const std::byte *data, size_t bytes);
void readAvx2(const std::byte *data, size_t bytes);
void readAvx512(const std::byte *data, size_t bytes);

/// Instructions of a round: independent, in registers, as many as hide their
/// latency.
inline constexpr int dotsPerRound = 12;

/// Operations of one vector instruction: lanes times two.
inline constexpr int portableF32Operations = 8;
inline constexpr int avx2F32Operations = 16;
inline constexpr int avx512F32Operations = 32;
inline constexpr int bf16Operations = 64;
inline constexpr int vnniOperations = 128;
inline constexpr int avx2Int8Operations = 64;
inline constexpr int avx512Int8Operations = 128;

void multiplyPortable(uint64_t rounds);
void multiplyF32Avx2(uint64_t rounds);
void multiplyF32Avx512(uint64_t rounds);
void multiplyBf16(uint64_t rounds);
void multiplyVnni(uint64_t rounds);
/// Bytes without VNNI: pairs to 16 bits, pairs of those to 32, an addition.
void multiplyInt8Avx2(uint64_t rounds);
void multiplyInt8Avx512(uint64_t rounds);

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_ROOFLINELOOPS_H
