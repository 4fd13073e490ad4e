//===- Target.cpp - x86-64 instruction sets -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Target.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr uint64_t avx2Bits =
    featureAvx2 | featureFma | featureF16c | featureBmi2;
constexpr uint64_t avx512Bits = avx2Bits | featureAvx512f | featureAvx512bw |
                                featureAvx512dq | featureAvx512vl;

// The cpu is always x86-64-v3: naming a microarchitecture would let LLVM use
// instructions that the loader does not check for.
constexpr InstructionSet sets[] = {
    {"amx", "x86-64-v3",
     "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni,+avx512bf16,"
     "+amx-tile,+amx-bf16,+amx-int8",
     avx512Bits | featureAvx512vnni | featureAvx512bf16 | featureAmxTile |
         featureAmxBf16 | featureAmxInt8,
     16, true, true, true},
    {"avx512-bf16-vnni", "x86-64-v3",
     "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni,+avx512bf16",
     avx512Bits | featureAvx512vnni | featureAvx512bf16, 16, true, true},
    {"avx512", "x86-64-v3", "+avx512f,+avx512bw,+avx512dq,+avx512vl",
     avx512Bits, 16, false, false},
    {"avx2", "x86-64-v3", "", avx2Bits, 8, false, false},
};

} // namespace

llvm::ArrayRef<InstructionSet> allInstructionSets() { return sets; }

uint64_t hostFeatures() {
  llvm::StringMap<bool> found = llvm::sys::getHostCPUFeatures();
  constexpr std::pair<llvm::StringRef, uint64_t> names[] = {
      {"avx2", featureAvx2},
      {"fma", featureFma},
      {"f16c", featureF16c},
      {"bmi2", featureBmi2},
      {"avx512f", featureAvx512f},
      {"avx512bw", featureAvx512bw},
      {"avx512dq", featureAvx512dq},
      {"avx512vl", featureAvx512vl},
      {"avx512vnni", featureAvx512vnni},
      {"avx512bf16", featureAvx512bf16},
      {"amx-tile", featureAmxTile},
      {"amx-bf16", featureAmxBf16},
      {"amx-int8", featureAmxInt8},
  };
  uint64_t bits = 0;
  for (auto [name, bit] : names)
    if (found.lookup(name))
      bits |= bit;
  return bits;
}

FailureOr<SmallVector<InstructionSet>> parseTarget(llvm::StringRef target,
                                                   std::string &error) {
  SmallVector<InstructionSet> chosen;
  if (target == "native") {
    for (const InstructionSet &set : sets)
      if (chosen.empty() && runsOn(set, hostFeatures()))
        chosen.push_back(set);
    if (chosen.empty()) {
      error = "this CPU lacks AVX2, FMA or F16C, which every x86-64 target "
              "needs; compile with --target=reference";
      return failure();
    }
    return chosen;
  }
  for (const InstructionSet &set : sets)
    if (target == set.name || target == "x86-64-v3" ||
        (target == "x86-64-v4" && set.hasAvx512()))
      chosen.push_back(set);
  if (chosen.empty()) {
    error = "invalid target '" + target.str() +
            "'; expected native, x86-64-v3, x86-64-v4, amx, "
            "avx512-bf16-vnni, avx512, avx2, sm_90a or reference";
    return failure();
  }
  return chosen;
}

} // namespace mlir::dsv2::x86
