//===- CudaStream.h - Work on a GPU, in order -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Streams, the graphs they record and run, and the events that mark places in
// their work. Each is destroyed with its object, in any thread.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDASTREAM_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDASTREAM_H

#include "runtime/drivers/cuda/CudaDevice.h"

#include <functional>

namespace dsv2::cuda {

/// A place in the work of a stream.
class CudaEvent {
public:
  /// What it is for: an event that keeps no time is cheaper, and who waits for
  /// it sleeps instead of spinning.
  enum class Use { timing, waiting };
  static dsv2::Result<CudaEvent> create(std::shared_ptr<CudaDevice> device,
                                        Use use);

  CudaEvent() = default;
  CudaEvent(CudaEvent &&other) noexcept;
  CudaEvent &operator=(CudaEvent &&other) noexcept;
  ~CudaEvent();

  /// Marks the end of what was submitted to the stream so far.
  Status record(Stream stream) const;
  /// The same in a graph that `stream` records; it is marked in every run.
  Status recordInGraph(Stream stream) const;
  /// Waits until the place is reached, not at all if none was marked.
  Status wait(const std::string &what) const;
  /// Seconds from the place of `begin` to that of this; both are reached.
  dsv2::Result<double> secondsSince(const CudaEvent &begin) const;

private:
  std::shared_ptr<CudaDevice> owner;
  Event event = nullptr;
};

/// Work that is submitted at once.
class CudaGraph {
public:
  CudaGraph() = default;
  CudaGraph(CudaGraph &&other) noexcept;
  CudaGraph &operator=(CudaGraph &&other) noexcept;
  ~CudaGraph();

private:
  friend class CudaStream;
  std::shared_ptr<CudaDevice> owner;
  GraphExec graph = nullptr;
};

/// A stream that waits for no other. It is used by one thread at a time: what
/// another submitted while it records would be recorded too.
class CudaStream {
public:
  static dsv2::Result<CudaStream> create(std::shared_ptr<CudaDevice> device);

  CudaStream() = default;
  CudaStream(CudaStream &&other) noexcept;
  CudaStream &operator=(CudaStream &&other) noexcept;
  ~CudaStream();

  Stream get() const { return stream; }

  /// Makes a graph of what `submit` submits to this stream, and runs none of
  /// it. `submit` may make no other calls that change the device.
  dsv2::Result<CudaGraph> record(const std::string &what,
                                 const std::function<Status()> &submit) const;
  Status launch(const CudaGraph &graph, const std::string &what) const;
  Status synchronize(const std::string &what) const;

private:
  std::shared_ptr<CudaDevice> owner;
  Stream stream = nullptr;
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDASTREAM_H
