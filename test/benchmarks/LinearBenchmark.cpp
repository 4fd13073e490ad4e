//===- LinearBenchmark.cpp - Linear kernels against the machine -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Prints, on one thread, the rate of each kernel and its ratio to what the
// machine can do at that moment: reading memory for few tokens, register-only
// dot products for many. Kernel and reference alternate and the median ratio
// counts, because the absolute speed of a shared machine drifts. Run it under
// `chrt -f 50` when other processes are active. One argument, the name of an
// instruction set, replaces the best one of this CPU.
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Linear.h"
#include "test/lowering/x86/PackedOperands.h"
#include "test/lowering/x86/RunKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <sys/mman.h>

using namespace dsv2::test;
using mlir::ModuleOp;
using mlir::Value;
using mlir::ValueRange;
using mlir::dsv2::x86::emitLinear;
using mlir::dsv2::x86::KernelBuilder;
using mlir::dsv2::x86::LinearSpec;

namespace {

constexpr int64_t coldBytes = int64_t(512) << 20; // far beyond any L3 slice
constexpr int64_t peakIterations = 1 << 20;

double seconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

template <typename Work>
double timeOf(Work work) {
  double start = seconds();
  work();
  return seconds() - start;
}

/// Reads `T` vectors of a buffer as one stream.
KernelInfo emitRead(ModuleOp module, const InstructionSet &set) {
  auto *context = module.getContext();
  auto i32 = mlir::IntegerType::get(context, 32);
  KernelBuilder b(module, "read",
                  {mlir::MemRefType::get({coldBytes / 4}, i32),
                   mlir::MemRefType::get({64}, i32)},
                  set);
  constexpr int64_t streams = 8;
  llvm::SmallVector<Value> zeros(streams, b.splatInt(0));
  auto sums =
      b.loop(b.index(0), b.dim(mlir::dsv2::x86::Dim::tokens), streams, zeros,
             [&](Value i, ValueRange carried) {
               llvm::SmallVector<Value> next(carried);
               for (int64_t s = 0; s < streams; ++s)
                 next[s] = mlir::arith::XOrIOp::create(
                     b, next[s],
                     b.loadVector(b.binding(0), b.mul(b.add(i, s), b.lanes()),
                                  b.lanes()));
               return next;
             });
  Value all = sums[0];
  for (Value sum : llvm::drop_begin(sums))
    all = mlir::arith::XOrIOp::create(b, all, sum);
  b.storeVector(all, b.binding(1), b.index(0));
  return b.finish({});
}

/// Independent dot products on registers.
constexpr int64_t peakChains = 12;
KernelInfo emitPeak(ModuleOp module, const InstructionSet &set,
                    WeightFormat format) {
  auto i32 = mlir::IntegerType::get(module.getContext(), 32);
  KernelBuilder b(module, "peak", {mlir::MemRefType::get({64}, i32)}, set);
  bool integer = rowFormatOf(format) == RowFormat::int8;
  Value raw = b.loadVector(b.binding(0), b.index(0), b.lanes());
  mlir::Type element = b.getBF16Type();
  if (integer)
    element = b.getI8Type();
  else if (format == WeightFormat::f32)
    element = b.getF32Type();
  Value x = b.bitcast(raw, element);
  // Different starts, or LLVM would find the chains equal.
  llvm::SmallVector<Value> starts;
  for (int64_t i = 0; i < peakChains; ++i) {
    Value start = b.loadVector(b.binding(0), b.index(i), b.lanes());
    starts.push_back(integer ? start : b.bitcast(start, b.getF32Type()));
  }
  auto sums =
      b.loop(b.index(0), b.index(peakIterations / peakChains), 1, starts,
             [&](Value, ValueRange carried) {
               llvm::SmallVector<Value> next;
               for (Value sum : carried)
                 next.push_back(format == WeightFormat::f32 ? b.fma(x, x, sum)
                                : integer ? b.dotU8S8(sum, x, x)
                                          : b.dotBf16(sum, x, x));
               return next;
             });
  for (auto [i, sum] : llvm::enumerate(sums))
    b.storeVector(b.bitcast(sum, b.getI32Type()), b.binding(0), b.index(i));
  return b.finish({});
}

double peakFlops(const InstructionSet &set, WeightFormat format) {
  int64_t width = format == WeightFormat::f32    ? 1
                  : format == WeightFormat::bf16 ? 2
                                                 : 4;
  return 2.0 * (peakIterations / peakChains * peakChains) * set.lanes * width;
}

std::byte *coldMemory() {
  void *memory = mmap(nullptr, coldBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nullptr;
  madvise(memory, coldBytes, MADV_HUGEPAGE);
  // Small values in every format: no subnormal slows anything down.
  std::memset(memory, 0x3c, coldBytes);
  return static_cast<std::byte *>(memory);
}

struct Shape {
  int64_t rows, depth, tokens;
};

void measure(const InstructionSet &set, WeightFormat format, Shape shape,
             std::byte *memory) {
  LinearSpec spec = {.rows = shape.rows,
                     .depth = shape.depth,
                     .format = format,
                     .maxTokens = shape.tokens};
  Kernel linear(set, [&](ModuleOp module, const InstructionSet &s) {
    return emitLinear(module, "linear", s, spec);
  });
  Kernel read(set, emitRead);
  // Emulated integer products of registers would move out of the loop.
  WeightFormat peakFormat =
      rowFormatOf(format) == RowFormat::int8 && !set.hasVnni ? WeightFormat::f32
                                                             : format;
  Kernel peak(set, [&](ModuleOp module, const InstructionSet &s) {
    return emitPeak(module, s, peakFormat);
  });
  int64_t bytes = packedWeightBytes(format, shape.rows, shape.depth);
  int64_t copies = std::max<int64_t>(1, coldBytes / bytes);
  std::vector<float> values = Random(1).floats(shape.tokens * shape.depth);
  Buffer x = packRows(rowFormatOf(format), values, shape.depth);
  Buffer y(shape.tokens * shape.rows * 4), sink(256);
  std::memset(sink.data(), 0, 256);

  bool memoryBound = shape.tokens <= 8;
  double flops = 2.0 * shape.tokens * shape.rows * shape.depth;
  std::vector<double> ratios, times;
  for (int64_t i = 0; i < 24; ++i) {
    double reference = memoryBound ? timeOf([&] {
      read({memory + (2 * i) % copies * bytes, sink.data()},
           {.tokens = bytes / set.vectorBytes()});
    })
                                   : timeOf([&] { peak({sink.data()}, {}); }) *
                                         flops / peakFlops(set, peakFormat);
    double time = timeOf([&] {
      linear.runInOrder(
          {x.data(), memory + (2 * i + 1) % copies * bytes, y.data()},
          {.tokens = shape.tokens});
    });
    if (i >= 4) { // caches, pages and clocks have settled
      ratios.push_back(reference / time);
      times.push_back(time);
    }
  }
  auto median = [](std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
    return v[v.size() / 2];
  };
  double time = median(times);
  std::printf("%-5s %6lld x %-5lld T=%-4lld %8.1f GB/s %8.1f GFLOP/s  %5.1f %% "
              "of %s\n",
              formatName(format).c_str(), static_cast<long long>(shape.rows),
              static_cast<long long>(shape.depth),
              static_cast<long long>(shape.tokens), bytes / time * 1e-9,
              flops / time * 1e-9, 100 * median(ratios),
              memoryBound ? "streaming read" : "dot-product peak");
  std::fflush(stdout);
}

} // namespace

int main(int argc, char **argv) {
  std::vector<InstructionSet> sets = hostSets();
  if (argc > 1)
    std::erase_if(
        sets, [&](const InstructionSet &set) { return set.name != argv[1]; });
  std::byte *memory = coldMemory();
  if (sets.empty() || !memory) {
    std::fprintf(stderr, "expected a runnable instruction set and 512 MiB of "
                         "memory\n");
    return 1;
  }
  std::printf("%s\n", sets.front().name.str().c_str());
  constexpr Shape shapes[] = {
      {10944, 2048, 1}, {1408, 2048, 1},   {102400, 2048, 1},
      {1408, 2048, 4},  {1408, 2048, 16},  {1408, 2048, 48},
      {2048, 1408, 48}, {1408, 2048, 512}, {2048, 10944, 512}};
  for (WeightFormat format :
       {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4})
    for (Shape shape : shapes)
      measure(sets.front(), format, shape, memory);
  return 0;
}
