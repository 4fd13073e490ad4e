//===- Target.h - x86-64 instruction sets -----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The instruction sets kernels are emitted for. Kernels are emitted once per
// set, under the same symbols; the loader takes the first library whose
// features the CPU has. Packed weights are the same for every set.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_TARGET_H
#define DSV2_LOWERING_X86_TARGET_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/LogicalResult.h"

#include <cstdint>
#include <string>

namespace mlir::dsv2::x86 {

/// The bits of dsv2.schema.CpuFeature (runtime/schema/artifact.fbs).
enum CpuFeature : uint64_t {
  featureAvx2 = 1u << 0,
  featureFma = 1u << 1,
  featureF16c = 1u << 2,
  featureBmi2 = 1u << 3,
  featureAvx512f = 1u << 4,
  featureAvx512bw = 1u << 5,
  featureAvx512dq = 1u << 6,
  featureAvx512vl = 1u << 7,
  featureAvx512vnni = 1u << 8,
  featureAvx512bf16 = 1u << 9,
  featureAmxTile = 1u << 10,
  featureAmxInt8 = 1u << 11,
  featureAmxBf16 = 1u << 12,
};

/// What an emitter may use, and how LLVM is told to use no more.
struct InstructionSet {
  llvm::StringRef name;         ///< "avx2", "avx512", "avx512-bf16-vnni", "amx"
  llvm::StringRef llvmCpu;      ///< -mcpu
  llvm::StringRef llvmFeatures; ///< -mattr, added to the cpu's
  uint64_t features;            ///< CpuFeature bits a CPU needs to run it
  int64_t lanes;                ///< float32 in one vector register
  bool hasBf16Dot;              ///< vdpbf16ps, vcvtneps2bf16
  bool hasVnni;                 ///< vpdpbusd
  bool hasTiles = false;        ///< AMX with bf16 and int8

  int64_t vectorBytes() const { return lanes * 4; }
  bool hasAvx512() const { return lanes == 16; }
  /// Registers of that width.
  int64_t registers() const { return hasAvx512() ? 32 : 16; }
};

/// Every instruction set, best first.
llvm::ArrayRef<InstructionSet> allInstructionSets();

/// The CpuFeature bits of the CPU this runs on.
uint64_t hostFeatures();

/// Whether a CPU with `features` runs kernels of `set`.
inline bool runsOn(const InstructionSet &set, uint64_t features) {
  return (set.features & ~features) == 0;
}

/// The ordered instruction sets (best first) that a --target value stands for:
///   native     the best set of this CPU
///   x86-64-v4  every set with AVX-512: runs on every x86-64-v4 CPU
///   x86-64-v3  every set: runs on every x86-64-v3 CPU
///   <set name> that set alone
/// On failure `error` holds one line for the user.
FailureOr<SmallVector<InstructionSet>> parseTarget(llvm::StringRef target,
                                                   std::string &error);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_TARGET_H
