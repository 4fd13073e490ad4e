//===- CudaExecutor.h - Runs the programs of a plan on a GPU ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Parameters of every launch are resolved beforehand. A step copies the arrays
// of the batch, launches a recorded graph, and copies the logits back. There is
// a graph for each size class of steps: launches have the grid of the largest
// step of the class, and kernels read the sizes from memory. Each executor has
// a stream, so that sessions may step in different threads.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAEXECUTOR_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAEXECUTOR_H

#include "runtime/drivers/cuda/CudaProgram.h"
#include "runtime/drivers/cuda/CudaStream.h"

#include <map>

namespace dsv2::cuda {

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

  Status step(size_t index, const StepSizes &sizes) override;
  Status fetchLogits(int64_t row) override;
  std::span<const LogitCandidate> bestLogits(int64_t row) const override;
  Status copyPage(int64_t to, int64_t from) override;
  void startProfile() override;
  void stopProfile() override { profiling = false; }
  const std::vector<DispatchProfile> &profile(size_t index) const override {
    return programs[index].profile;
  }

private:
  /// Program, class of each size, and how many boundaries are passed.
  using GraphKey = std::array<int64_t, 7>;

  CudaExecutor(const Artifact &artifact, std::shared_ptr<const CudaModel> model,
               const HostBuffers &host)
      : artifact(artifact), model(std::move(model)), host(host) {}

  Status allocate(int64_t cacheRows);
  DevicePointer address(const schema::Binding &binding) const;
  /// The sizes of the largest step of the class that `dims` belong to.
  Dims classesOf(const CudaProgram &program, const Dims &dims) const;

  Status copyBatch(const CudaProgram &program, const Dims &dims);
  Status launch(const CudaLaunch &launch, int64_t blocks, DevicePointer sizes,
                bool dependent);
  Status launchAll(const CudaProgram &program, int64_t tokens,
                   const Dims &classes);
  Status runGraph(size_t index, const Dims &dims);
  Status runProfiled(CudaProgram &program, const Dims &dims);
  /// Bytes [begin, end) of the logits, to the host.
  Status copyLogits(uint64_t begin, uint64_t end);
  Status copyBestLogits(int64_t rows);
  Status submit(size_t index, const Dims &dims, bool leavesLogits);
  uint64_t logitRowBytes() const;

  const CudaApi &cu() const { return model->device->api(); }

  const Artifact &artifact;
  std::shared_ptr<const CudaModel> model;
  HostBuffers host;
  CudaStream stream;
  DeviceBuffer arena, cache, logits, batch;
  PinnedBuffer staging; ///< the batch's arrays, laid out as on the device
  /// The host's logits as far as steps usually fill them: a row a sequence.
  PinnedRange pinnedLogits;
  PinnedBuffer bestLists; ///< of the rows of the last step
  uint64_t cachePlaneBytes = 0;
  std::array<uint64_t, batchFieldCount> batchOffsets = {};
  Dims largest = {};
  std::vector<CudaProgram> programs;
  std::map<GraphKey, CudaGraph> graphs;
  std::vector<CudaEvent> marks; ///< between the launches that are profiled
  bool profiling = false;
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAEXECUTOR_H
