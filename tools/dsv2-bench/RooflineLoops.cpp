//===- RooflineLoops.cpp - Loops that do one thing only -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every function is compiled for its own instructions; the caller knows that
// the CPU has them. Empty assembly keeps the compiler from computing results
// once, or not at all.
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/RooflineLoops.h"

#include <immintrin.h>

#define DSV2_TARGET(features) __attribute__((target(features)))

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

void dsv2::readPortable(const std::byte *data, size_t bytes) {
  auto words = reinterpret_cast<const uint64_t *>(data);
  uint64_t sums[8] = {};
  for (size_t i = 0; i < bytes / 8; i += 8)
    for (size_t lane = 0; lane < 8; ++lane)
      sums[lane] ^= words[i + lane];
  for (uint64_t &sum : sums)
    asm volatile("" : "+r"(sum));
}

DSV2_TARGET("avx2")
void dsv2::readAvx2(const std::byte *data, size_t bytes) {
  __m256i sums[8] = {};
  for (const std::byte *end = data + bytes; data != end; data += 256)
    for (int lane = 0; lane < 8; ++lane)
      sums[lane] = _mm256_xor_si256(
          sums[lane],
          _mm256_load_si256(reinterpret_cast<const __m256i *>(data) + lane));
  for (__m256i &sum : sums)
    asm volatile("" : "+x"(sum));
}

DSV2_TARGET("avx512f")
void dsv2::readAvx512(const std::byte *data, size_t bytes) {
  __m512i sums[8] = {};
  for (const std::byte *end = data + bytes; data != end; data += 512)
    for (int lane = 0; lane < 8; ++lane)
      sums[lane] =
          _mm512_xor_si512(sums[lane], _mm512_load_si512(data + 64 * lane));
  for (__m512i &sum : sums)
    asm volatile("" : "+v"(sum));
}

//===----------------------------------------------------------------------===//
// Multiplying
//===----------------------------------------------------------------------===//

void dsv2::multiplyPortable(uint64_t rounds) {
  // What every x86-64 has.
  __m128 sums[dotsPerRound] = {};
  __m128 left = _mm_set1_ps(1.0f), right = _mm_set1_ps(1e-9f);
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m128 &sum : sums) {
      asm volatile("" : "+x"(left));
      sum = _mm_add_ps(sum, _mm_mul_ps(left, right));
      asm volatile("" : "+x"(sum));
    }
}

DSV2_TARGET("avx2,fma")
void dsv2::multiplyF32Avx2(uint64_t rounds) {
  __m256 sums[dotsPerRound] = {};
  __m256 left = _mm256_set1_ps(1.0f), right = _mm256_set1_ps(1e-9f);
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m256 &sum : sums) {
      sum = _mm256_fmadd_ps(left, right, sum);
      asm volatile("" : "+x"(sum));
    }
}

DSV2_TARGET("avx512f")
void dsv2::multiplyF32Avx512(uint64_t rounds) {
  __m512 sums[dotsPerRound] = {};
  __m512 left = _mm512_set1_ps(1.0f), right = _mm512_set1_ps(1e-9f);
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m512 &sum : sums) {
      sum = _mm512_fmadd_ps(left, right, sum);
      asm volatile("" : "+v"(sum));
    }
}

DSV2_TARGET("avx512f,avx512bf16")
void dsv2::multiplyBf16(uint64_t rounds) {
  __m512 sums[dotsPerRound] = {};
  __m512bh left =
               _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0f), _mm512_set1_ps(1.0f)),
           right = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-9f),
                                       _mm512_set1_ps(1e-9f));
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m512 &sum : sums) {
      sum = _mm512_dpbf16_ps(sum, left, right);
      asm volatile("" : "+v"(sum));
    }
}

DSV2_TARGET("avx512f,avx512vnni")
void dsv2::multiplyVnni(uint64_t rounds) {
  __m512i sums[dotsPerRound] = {};
  __m512i left = _mm512_set1_epi8(1), right = _mm512_set1_epi8(-1);
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m512i &sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, left, right);
      asm volatile("" : "+v"(sum));
    }
}

DSV2_TARGET("avx2")
void dsv2::multiplyInt8Avx2(uint64_t rounds) {
  __m256i sums[dotsPerRound] = {};
  __m256i left = _mm256_set1_epi8(1), right = _mm256_set1_epi8(-1);
  __m256i ones = _mm256_set1_epi16(1);
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m256i &sum : sums) {
      asm volatile("" : "+x"(left));
      __m256i pairs = _mm256_maddubs_epi16(left, right);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
      asm volatile("" : "+x"(sum));
    }
}

DSV2_TARGET("avx512f,avx512bw")
void dsv2::multiplyInt8Avx512(uint64_t rounds) {
  __m512i sums[dotsPerRound] = {};
  __m512i left = _mm512_set1_epi8(1), right = _mm512_set1_epi8(-1);
  __m512i ones = _mm512_set1_epi16(1);
  for (uint64_t round = 0; round < rounds; ++round)
    for (__m512i &sum : sums) {
      asm volatile("" : "+v"(left));
      __m512i pairs = _mm512_maddubs_epi16(left, right);
      sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, ones));
      asm volatile("" : "+v"(sum));
    }
}
