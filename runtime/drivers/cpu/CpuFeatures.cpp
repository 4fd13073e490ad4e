//===- CpuFeatures.cpp - What this CPU can execute ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/CpuFeatures.h"

#include "runtime/schema/artifact_generated.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace dsv2;
using schema::CpuFeature;

namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  // Answers zeros for leaves that the CPU does not have.
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

/// The register state that the operating system saves (XCR0).
uint64_t savedState() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t(high) << 32) | low;
}

constexpr uint64_t avxState = 0x6, avx512State = 0xe6, amxState = 0x60000;

bool requestTiles() {
  constexpr int requestPermission = 0x1023, tileData = 18;
  return ::syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

} // namespace

uint64_t dsv2::detectCpuFeatures() {
  uint64_t features = 0;
  auto add = [&](uint32_t word, int bit, CpuFeature feature) {
    if ((word >> bit) & 1)
      features |= static_cast<uint64_t>(feature);
  };

  Registers basic = cpuid(1, 0);
  constexpr int osxsave = 27;
  if (!((basic.ecx >> osxsave) & 1))
    return 0;
  Registers extended = cpuid(7, 0);
  Registers more = extended.eax >= 1 ? cpuid(7, 1) : Registers();
  uint64_t state = savedState();

  add(extended.ebx, 8, CpuFeature::bmi2);
  if ((state & avxState) == avxState) {
    add(basic.ecx, 12, CpuFeature::fma);
    add(basic.ecx, 29, CpuFeature::f16c);
    add(extended.ebx, 5, CpuFeature::avx2);
  }
  if ((state & avx512State) == avx512State) {
    add(extended.ebx, 16, CpuFeature::avx512f);
    add(extended.ebx, 17, CpuFeature::avx512dq);
    add(extended.ebx, 30, CpuFeature::avx512bw);
    add(extended.ebx, 31, CpuFeature::avx512vl);
    add(extended.ecx, 11, CpuFeature::avx512vnni);
    add(more.eax, 5, CpuFeature::avx512bf16);
  }
  constexpr int tile = 24;
  if ((state & amxState) == amxState && ((extended.edx >> tile) & 1) &&
      requestTiles()) {
    add(extended.edx, 22, CpuFeature::amx_bf16);
    add(extended.edx, tile, CpuFeature::amx_tile);
    add(extended.edx, 25, CpuFeature::amx_int8);
  }
  return features;
}

std::string dsv2::cpuFeatureNames(uint64_t features) {
  std::string names;
  for (int bit = 0; bit < 64; ++bit) {
    if (!((features >> bit) & 1))
      continue;
    std::string name =
        schema::EnumNameCpuFeature(static_cast<CpuFeature>(uint64_t(1) << bit));
    if (!names.empty())
      names += ", ";
    names += name.empty() ? "bit " + std::to_string(bit) : name;
  }
  return names;
}
