//===- RunKernel.h - Compiling and calling one kernel -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_X86_RUNKERNEL_H
#define DSV2_TEST_LOWERING_X86_RUNKERNEL_H

#include "lowering/X86/Kernel.h"

#include "mlir/IR/MLIRContext.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

namespace mlir::dsv2::x86 {

/// Names the parameter of a test in its listing.
inline void PrintTo(const InstructionSet &set, std::ostream *os) {
  *os << set.name.str();
}

} // namespace mlir::dsv2::x86

namespace dsv2::test {

using mlir::dsv2::x86::InstructionSet;
using mlir::dsv2::x86::KernelInfo;

/// A step's sizes, in the order kernels receive them.
struct Dims {
  int64_t tokens = 1, sequences = 1, context = 1, logitRows = 1;
};

/// A kernel emitted and compiled for one instruction set, and loaded.
class Kernel {
public:
  using Emit =
      std::function<KernelInfo(mlir::ModuleOp, const InstructionSet &)>;
  Kernel(const InstructionSet &set, const Emit &emit);
  ~Kernel();
  Kernel(const Kernel &) = delete;

  /// Runs every workgroup, last first: their order must not matter.
  void operator()(std::vector<void *> bindings, Dims dims) const;
  /// Runs every workgroup as the runtime does on one thread.
  void runInOrder(std::vector<void *> bindings, Dims dims) const;
  /// Without the factor of an indirect binding.
  int64_t workgroupCount(Dims dims) const;

private:
  using Function = void (*)(void *const *, const int64_t *, int64_t);
  int64_t totalCount(const std::vector<void *> &bindings, Dims dims) const;

  mlir::MLIRContext context;
  mlir::dsv2::x86::Workgroups workgroups;
  int file = -1; ///< open while loaded: dlopen knows libraries by path
  void *library = nullptr;
  Function function = nullptr;
};

/// The instruction sets this CPU runs.
std::vector<InstructionSet> hostSets();
/// Those and AMX, which is emulated where the CPU lacks it: slowly, so it is
/// for the kernels that use tiles.
std::vector<InstructionSet> productSets();
std::string setName(const InstructionSet &set);

/// Random numbers from a seed that a failing test prints.
class Random {
public:
  explicit Random(uint32_t seed) : engine(seed) {}
  float uniform(float low = -1.0f, float high = 1.0f) {
    return std::uniform_real_distribution<float>(low, high)(engine);
  }
  int64_t below(int64_t bound) {
    return std::uniform_int_distribution<int64_t>(0, bound - 1)(engine);
  }
  std::vector<float> floats(size_t count, float scale = 1.0f) {
    std::vector<float> result(count);
    for (float &x : result)
      x = uniform(-scale, scale);
    return result;
  }
  std::mt19937 engine;
};

inline float fromBf16(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}
inline uint16_t toBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
std::vector<uint16_t> toBf16(const std::vector<float> &values);

/// A guard value that must survive beyond the end of outputs.
inline constexpr float untouched = 12345.0f;

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_X86_RUNKERNEL_H
