//===- CudaProgram.h - The launches of a program ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Parameters of every launch are resolved when a session begins. What varies
// from step to step is in memory: the arrays of the batch, and the sizes, with
// an entry for the step and one for each chunk of its context.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAPROGRAM_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAPROGRAM_H

#include "runtime/drivers/StepRunner.h"
#include "runtime/drivers/cuda/CudaModel.h"

#include <array>
#include <functional>

namespace dsv2 {
namespace schema {
struct Binding;
struct Dispatch;
struct Program;
} // namespace schema

namespace cuda {

/// The sizes {1, T, B, S, R}, by schema::Dim.
using Dims = std::array<int64_t, 5>;

/// What kernels read: {T, B, S, R, F} and padding.
using DeviceSizes = std::array<int32_t, 8>;

/// A dispatch that is ready to be launched.
struct CudaLaunch {
  Function function = nullptr;
  std::vector<void *> parameters;       ///< point into the vectors below
  std::vector<DevicePointer> addresses; ///< of bindings, then of the sizes
  std::unique_ptr<TensorMap[]> maps;
  int64_t count = 0, tile = 1, minTokens = 0, maxTokens = 0;
  uint32_t dim = 0, threads = 1, cluster = 1, blocksPerSM = 0;
  uint32_t sharedBytes = 0;
  bool chunked = false;
  std::string name;

  /// Blocks for steps of so many of everything.
  int64_t blocks(const Dims &dims, int64_t multiprocessors) const;
};

class CudaProgram {
public:
  using AddressOf = std::function<DevicePointer(const schema::Binding &)>;

  /// `sizes` is where the entries of sizes begin.
  static dsv2::Result<CudaProgram> prepare(const Artifact &artifact,
                                           const schema::Program &source,
                                           const CudaModel &model,
                                           const AddressOf &addressOf,
                                           DevicePointer sizes);

  /// The most chunks of the context that a step of `context` rows has.
  int64_t chunks(int64_t context) const;
  /// What a step whose launches are for `classes` reads: an entry for itself,
  /// then one for each chunk.
  void fillSizes(const Dims &dims, const Dims &classes, DeviceSizes *to) const;

  /// Runs in order what a step of `tokens` new tokens launches, with the grids
  /// of steps of `classes`: run(launch index, blocks, address of its sizes).
  Status forEachLaunch(
      int64_t tokens, const Dims &classes, int64_t multiprocessors,
      const std::function<Status(size_t, int64_t, DevicePointer)> &run) const;

  std::string name;
  std::vector<CudaLaunch> launches;
  /// Whether any launch depends on a size.
  std::array<bool, 5> uses = {};
  /// Numbers of tokens at which other launches are chosen, ascending.
  std::vector<int64_t> boundaries;
  std::array<bool, batchFieldCount> reads = {};
  std::vector<DispatchProfile> profile;

private:
  DevicePointer sizes = 0;
  int64_t chunkStep = 0, chunkRows = 0;
};

} // namespace cuda
} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAPROGRAM_H
