//===- CudaExecutor.h - Runs the programs of a plan on a GPU ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Parameters of every launch are resolved beforehand. A step copies the arrays
// of the batch, launches a recorded graph, and copies the logits back. There is
// a graph for each size class of steps: launches have the grid of the largest
// step of the class, and kernels read the sizes from memory.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAEXECUTOR_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAEXECUTOR_H

#include "runtime/drivers/StepRunner.h"
#include "runtime/drivers/cuda/CudaWeights.h"

#include <array>
#include <map>

namespace dsv2 {
namespace schema {
struct Binding;
struct Dispatch;
struct Program;
} // namespace schema

namespace cuda {

/// An artifact that is ready to run on a device; sessions share it.
struct CudaModel {
  std::shared_ptr<CudaDevice> device;
  CudaKernels kernels;
  CudaWeights weights;

  /// Opens the driver and a device, and loads kernels and weights. Says before
  /// it allocates when the device has too little memory.
  static dsv2::Result<std::shared_ptr<const CudaModel>>
  load(const Artifact &artifact, const std::string &library = "libcuda.so.1");
};

/// Host memory that steps read and write. It belongs to the session.
struct HostBuffers {
  std::array<const int32_t *, batchFieldCount> batch = {};
  /// Elements of each array, the largest that a step may fill.
  std::array<int64_t, batchFieldCount> capacity = {};
  float *logits = nullptr;
};

class CudaExecutor final : public StepRunner {
public:
  /// Allocates the arena, a cache of `cacheRows` rows a layer and the rest.
  /// The artifact must outlive the executor.
  static dsv2::Result<std::unique_ptr<CudaExecutor>>
  create(const Artifact &artifact, std::shared_ptr<const CudaModel> model,
         int64_t cacheRows, const HostBuffers &host);
  ~CudaExecutor() override;

  Status step(size_t index, const StepSizes &sizes) override;
  Status copyPage(int64_t to, int64_t from) override;
  void startProfile() override;
  void stopProfile() override { profiling = false; }
  const std::vector<DispatchProfile> &profile(size_t index) const override {
    return programs[index].profile;
  }

private:
  /// The sizes {1, T, B, S, R}, by schema::Dim.
  using Dims = std::array<int64_t, 5>;

  struct Launch {
    Function function = nullptr;
    std::vector<void *> parameters;       ///< point into the vectors below
    std::vector<DevicePointer> addresses; ///< of bindings, then of the sizes
    std::unique_ptr<TensorMap[]> maps;
    int64_t count = 0, tile = 1, minTokens = 0, maxTokens = 0;
    uint32_t dim = 0, threads = 1, cluster = 1, blocksPerSM = 0;
    uint32_t sharedBytes = 0;
    std::string name;
  };
  struct Program {
    std::string name;
    std::vector<Launch> launches;
    /// Whether any launch depends on a size.
    std::array<bool, 5> uses = {};
    /// Numbers of tokens at which other launches are chosen, ascending.
    std::vector<int64_t> boundaries;
    std::array<bool, batchFieldCount> reads = {};
    std::vector<DispatchProfile> profile;
  };
  /// Program, class of each size, and how many boundaries are passed.
  using GraphKey = std::array<int64_t, 7>;

  CudaExecutor(const Artifact &artifact, std::shared_ptr<const CudaModel> model,
               const HostBuffers &host)
      : artifact(artifact), model(std::move(model)), host(host) {}

  Status allocate(int64_t cacheRows);
  Status prepareProgram(const schema::Program &source, Program &program);
  Status prepareLaunch(const schema::Dispatch &source, Launch &launch);
  DevicePointer address(const schema::Binding &binding) const;

  Status copyBatch(const Program &program, const Dims &dims);
  int64_t gridOf(const Launch &launch, const Dims &dims) const;
  Status launch(const Launch &launch, int64_t blocks, bool dependent);
  Status launchAll(const Program &program, const Dims &dims,
                   const Dims &classes);
  Status runProfiled(Program &program, const Dims &dims);
  Status runGraph(size_t index, const Dims &dims);
  dsv2::Result<GraphExec> record(const Program &program, const Dims &dims,
                                 const Dims &classes);

  const CudaApi &cu() const { return model->device->api(); }
  Stream stream() const { return model->device->stream(); }

  const Artifact &artifact;
  std::shared_ptr<const CudaModel> model;
  HostBuffers host;
  DeviceBuffer arena, cache, logits, batch;
  PinnedBuffer staging; ///< the batch's arrays, laid out as on the device
  uint64_t cachePlaneBytes = 0;
  std::array<uint64_t, batchFieldCount> batchOffsets = {};
  Dims largest = {};
  std::vector<Program> programs;
  std::map<GraphKey, GraphExec> graphs;
  bool profiling = false;
};

} // namespace cuda
} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAEXECUTOR_H
