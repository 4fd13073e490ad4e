//===- AttentionBench.cpp - Attention against the bf16 peak ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Times the attention kernels on one thread as a part of the peak of
// vdpbf16ps, which a register-only loop measures in turns with the kernel.
// Latent attention reads another copy of the cache each time, so that it finds
// none of it in a CPU cache. Not a test: run it alone, on an idle CPU with
// AVX512_BF16.
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionExpanded.h"
#include "test/lowering/x86/RaggedBatch.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <immintrin.h>
#include <sys/mman.h>

using namespace dsv2::test;
using namespace mlir::dsv2::x86;

namespace {

__attribute__((target("avx512f,avx512bf16"), noinline)) float
peak(int64_t count) {
  __m512 sums[12];
  for (int i = 0; i < 12; ++i)
    sums[i] = _mm512_set1_ps(i);
  auto x = (__m512bh)_mm512_set1_epi16(0x3f80);
  auto y = (__m512bh)_mm512_set1_epi16(0x3f00);
  for (int64_t n = 0; n < count; n += 12) {
    for (__m512 &sum : sums)
      sum = _mm512_dpbf16_ps(sum, x, y);
    asm volatile("" : "+v"(x));
  }
  __m512 total = sums[0];
  for (int i = 1; i < 12; ++i)
    total = _mm512_add_ps(total, sums[i]);
  return _mm512_cvtss_f32(total);
}

double seconds(const std::function<void()> &run) {
  auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

/// Prints the median over interleaved runs.
void report(const char *name, double flops, const std::function<void()> &run) {
  volatile float sink = 0;
  auto dots = static_cast<int64_t>(flops / 64);
  run();
  std::vector<double> times, ratios;
  for (int i = 0; i < 11; ++i) {
    double reference = seconds([&] { sink = sink + peak(dots); });
    double time = seconds(run);
    times.push_back(time);
    ratios.push_back(reference / time);
  }
  std::sort(times.begin(), times.end());
  std::sort(ratios.begin(), ratios.end());
  std::printf("%-40s %9.1f us  %6.1f GFLOP/s  %5.1f %% of the bf16 peak\n",
              name, times[5] * 1e6, flops / times[5] * 1e-9, ratios[5] * 100);
  std::fflush(stdout);
}

CachePlane planeOf(const RaggedBatch &batch) {
  CachePlane plane{512, 64, batch.rows};
  plane.pageSize = batch.pageSize;
  plane.pagesPerSequence = batch.pagesPerSequence;
  return plane;
}

/// The int8 form of the cache of `batch`.
void makeTiles(const InstructionSet &set, const CacheTilesSpec &spec,
               RaggedBatch &batch, std::vector<int32_t> &words) {
  Kernel convert(set, [&](auto module, auto &set) {
    return emitCacheTiles(module, "tiles", set, spec);
  });
  convert({batch.cache.data(), batch.contextLengths.data(),
           batch.pageTable.data(), words.data()},
          batch.dims());
}

void latent(const InstructionSet &set, int64_t heads, int64_t context,
            CacheFormat format) {
  Random random(1);
  RaggedBatch batch({{context, 1}}, 576, 64, context, random);
  LatentAttentionSpec spec;
  spec.tokens = spec.sequences = 1;
  spec.heads = heads;
  CacheTilesSpec tiles{1, planeOf(batch)};
  bool int8 = format == CacheFormat::int8;
  spec.cache = int8 ? tiles.tiles() : tiles.cache;
  spec.scale = 0.1f;
  spec.maxContext = context;
  std::vector<int32_t> words(batch.rows * tiles.tiles().rowStride());
  makeTiles(set, tiles, batch, words);
  const void *plane = int8 ? static_cast<void *>(words.data())
                           : static_cast<void *>(batch.cache.data());
  size_t planeBytes = int8 ? words.size() * 4 : batch.cache.size() * 2;
  Kernel kernel(set, [&](auto module, auto &set) {
    return emitLatentAttention(module, "latent", set, spec);
  });
  std::vector<uint16_t> query = toBf16(random.floats(heads * 576));
  std::vector<uint16_t> out(heads * 512);
  std::string name = "latent, " + std::to_string(heads) + " heads, context " +
                     std::to_string(context) + (int8 ? ", int8" : "");
  constexpr size_t planes = 24, hugePage = size_t(2) << 20;
  size_t bytes = (planeBytes + hugePage - 1) / hugePage * hugePage;
  auto *cache =
      static_cast<char *>(std::aligned_alloc(hugePage, planes * bytes));
  madvise(cache, planes * bytes, MADV_HUGEPAGE);
  for (size_t i = 0; i < planes; ++i)
    std::memcpy(cache + i * bytes, plane, planeBytes);
  size_t next = 0;
  report(name.c_str(), 2.0 * heads * context * (576 + 512), [&] {
    kernel({query.data(), cache + next++ % planes * bytes,
            batch.positions.data(), batch.tokenSequence.data(),
            batch.pageTable.data(), out.data()},
           batch.dims());
  });
  std::free(cache);
}

void expanded(const InstructionSet &set, int64_t heads, int64_t queries,
              int64_t context, CacheFormat format) {
  Random random(1);
  RaggedBatch batch({{context, queries}}, 576, 64, context, random);
  ExpandedAttentionSpec spec;
  spec.tokens = spec.maxQueries = queries;
  spec.sequences = 1;
  spec.heads = heads;
  spec.nope = spec.value = 128;
  CacheTilesSpec tiles{1, planeOf(batch)};
  bool int8 = format == CacheFormat::int8;
  spec.cache = int8 ? tiles.tiles() : tiles.cache;
  spec.scale = 0.1f;
  spec.queryNope = {heads * 192, 192, 0};
  spec.queryRope = {heads * 192, 192, 128};
  Kernel kernel(set, [&](auto module, auto &set) {
    return emitExpandedAttention(module, "expanded", set, spec);
  });
  std::vector<int32_t> words(batch.rows * tiles.tiles().rowStride());
  makeTiles(set, tiles, batch, words);
  void *cache = int8 ? static_cast<void *>(words.data())
                     : static_cast<void *>(batch.cache.data());
  std::vector<uint16_t> query = toBf16(random.floats(queries * heads * 192));
  std::vector<uint16_t> up = toBf16(random.floats(heads * 512 * 128, 0.05f));
  std::vector<uint16_t> down = toBf16(random.floats(heads * 512 * 128, 0.05f));
  std::vector<uint16_t> out(queries * heads * 128);
  double blocks = (queries + spec.queryBlock() - 1) / spec.queryBlock();
  double pairs = queries * (context - (queries - 1) / 2.0);
  double flops = 2.0 * heads * (pairs * 320 + blocks * context * 512 * 256);
  std::string name = "expanded, " + std::to_string(heads) + " heads, " +
                     std::to_string(queries) + " queries, context " +
                     std::to_string(context) + (int8 ? ", int8" : "");
  report(name.c_str(), flops, [&] {
    kernel({query.data(), query.data(), cache, up.data(), down.data(),
            batch.queryOffsets.data(), batch.contextLengths.data(),
            batch.pageTable.data(), out.data()},
           batch.dims());
  });
}

} // namespace

int main() {
  std::vector<InstructionSet> sets = hostSets();
  if (sets.empty() || !sets[0].hasBf16Dot) {
    std::fprintf(stderr, "this CPU lacks AVX512_BF16\n");
    return EXIT_FAILURE;
  }
  for (CacheFormat format : {CacheFormat::bf16, CacheFormat::int8}) {
    latent(sets[0], 16, 4096, format);
    latent(sets[0], 128, 4096, format);
    expanded(sets[0], 16, 512, 512, format);
    expanded(sets[0], 16, 512, 4096, format);
  }
}
