//===- CpuRoofline.cpp - What the CPUs can do -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/CpuRoofline.h"

#include "runtime/schema/artifact_generated.h"
#include "tools/dsv2-bench/RooflineLoops.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

using namespace dsv2;
using schema::CpuFeature;
using Clock = std::chrono::steady_clock;

/// A burst is long enough to be exact and shorter than a time slice of the
/// scheduler; there is time for several.
static constexpr double burstSeconds = 0.001;
static constexpr double readSeconds = 0.02, dotSeconds = 0.006;
/// What a thread reads in one burst of a working set that is larger.
static constexpr uint64_t largestBurst = uint64_t(16) << 20;
static constexpr uint64_t largestChunk = uint64_t(1) << 20;

/// More than the caches of any CPU, as long as the machine has it.
static constexpr uint64_t largestWorkingSet = uint64_t(512) << 20;
static constexpr uint64_t readStep = 4096; ///< each thread reads whole ones

static double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

Result<std::unique_ptr<CpuRoofline>>
CpuRoofline::create(std::shared_ptr<ThreadPool> pool, uint64_t features,
                    uint64_t workingSet) {
  std::unique_ptr<CpuRoofline> made(new CpuRoofline);
  CpuRoofline &roofline = *made;
  roofline.pool = std::move(pool);
  uint64_t unit = readStep * static_cast<uint64_t>(roofline.pool->size());
  uint64_t bytes =
      std::clamp(workingSet, uint64_t(1) << 20, largestWorkingSet) / unit *
      unit;
  Result<LargeBuffer> buffer =
      LargeBuffer::allocate(std::max(bytes, unit), "the bandwidth test");
  if (!buffer.ok())
    return buffer.status();
  roofline.buffer = *std::move(buffer);
  // Touched by the threads that will read it, and not zero: pages of zeros may
  // all be the same one.
  std::byte *data = roofline.buffer.data();
  size_t slice = roofline.buffer.size() / roofline.pool->size();
  roofline.pool->run(
      [&](int thread) { std::memset(data + thread * slice, 1, slice); });

  auto has = [&](auto... wanted) {
    return ((features & static_cast<uint64_t>(wanted)) && ...);
  };
  auto loop = [](auto function, int operations) {
    return DotLoop{function, double(operations) * dotsPerRound};
  };
  bool avx2 = has(CpuFeature::avx2, CpuFeature::fma);
  bool avx512 = has(CpuFeature::avx512f, CpuFeature::avx512bw);
  roofline.readLoop = avx512 ? readAvx512 : avx2 ? readAvx2 : readPortable;
  DotLoop f32 = avx512 ? loop(multiplyF32Avx512, avx512F32Operations)
                : avx2 ? loop(multiplyF32Avx2, avx2F32Operations)
                       : loop(multiplyPortable, portableF32Operations);
  DotLoop bf16 = avx512 && has(CpuFeature::avx512bf16)
                     ? loop(multiplyBf16, bf16Operations)
                     : f32;
  DotLoop int8 = avx512 && has(CpuFeature::avx512vnni)
                     ? loop(multiplyVnni, vnniOperations)
                 : avx512 ? loop(multiplyInt8Avx512, avx512Int8Operations)
                 : avx2   ? loop(multiplyInt8Avx2, avx2Int8Operations)
                          : f32;
  roofline.dotLoops = {int8, bf16, f32};
  return made;
}

double CpuRoofline::measureRead(uint64_t workingSet) {
  auto threads = static_cast<uint64_t>(pool->size());
  uint64_t unit = readStep * threads;
  uint64_t whole = std::clamp((workingSet + unit - 1) / unit * unit, unit,
                              buffer.size() / unit * unit);
  uint64_t window = std::min(whole, largestBurst * threads);
  // Threads are not equally fast, so they share out what is large.
  uint64_t chunk = window < whole ? largestChunk : window / threads;
  uint64_t chunks = window / chunk, offset = 0, passes = 1;
  std::vector<double> rates;
  for (double spent = 0; spent < readSeconds || rates.empty();) {
    const std::byte *data = buffer.data() + offset;
    std::atomic<uint64_t> next = 0;
    Clock::time_point start = Clock::now();
    pool->run([&](int) {
      for (uint64_t claimed; (claimed = next.fetch_add(1)) < passes * chunks;)
        readLoop(data + claimed % chunks * chunk, chunk);
    });
    double taken = seconds(Clock::now() - start);
    spent += taken;
    // Only what is read as a whole may be read twice in a row.
    if (taken < burstSeconds && window == whole)
      passes *= 2;
    else
      rates.push_back(static_cast<double>(passes * window) / taken);
    offset = offset + 2 * window <= whole ? offset + window : 0;
  }
  return medianOf(rates);
}

double CpuRoofline::measureDot(const DotLoop &loop) {
  uint64_t &count = rounds[static_cast<size_t>(&loop - dotLoops.data())];
  count = std::max<uint64_t>(count, 1000);
  std::vector<double> rates;
  for (double spent = 0; spent < dotSeconds || rates.empty();) {
    Clock::time_point start = Clock::now();
    pool->run([&](int) { loop.run(count); });
    double taken = seconds(Clock::now() - start);
    spent += taken;
    if (taken < burstSeconds)
      count *= 2;
    else
      rates.push_back(static_cast<double>(count) * pool->size() *
                      loop.operations / taken);
  }
  return medianOf(rates);
}

Result<Limits> CpuRoofline::measure(uint64_t workingSet) {
  Limits limits;
  limits.readBytes = measureRead(workingSet);
  for (size_t type = 0; type < dotTypeCount; ++type)
    limits.operations[type] = measureDot(dotLoops[type]);
  return limits;
}
