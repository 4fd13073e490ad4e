//===- CpuFeatures.h - What this CPU can execute ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_CPUFEATURES_H
#define DSV2_RUNTIME_DRIVERS_CPU_CPUFEATURES_H

#include <cstdint>
#include <string>

namespace dsv2 {

/// The schema::CpuFeature bits that this CPU and its operating system support.
/// Asks Linux for the use of AMX tiles, which it grants to a process once.
uint64_t detectCpuFeatures();

/// "avx512f, avx512bw"; bits that this version does not know appear as "bit n".
std::string cpuFeatureNames(uint64_t features);

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_CPUFEATURES_H
