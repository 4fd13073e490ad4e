//===- CudaStream.cpp - Work on a GPU, in order ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaStream.h"

#include <utility>

namespace dsv2::cuda {

//===----------------------------------------------------------------------===//
// Events
//===----------------------------------------------------------------------===//

dsv2::Result<CudaEvent> CudaEvent::create(std::shared_ptr<CudaDevice> device,
                                          Use use) {
  CudaEvent made;
  unsigned flags =
      use == Use::timing ? 0 : eventBlockingSync | eventDisableTiming;
  DSV2_RETURN_IF_ERROR(device->api().check(
      device->api().eventCreate(&made.event, flags), "cuEventCreate"));
  made.owner = std::move(device);
  return made;
}

CudaEvent::CudaEvent(CudaEvent &&other) noexcept
    : owner(std::move(other.owner)),
      event(std::exchange(other.event, nullptr)) {}

CudaEvent &CudaEvent::operator=(CudaEvent &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(event, other.event);
  return *this;
}

CudaEvent::~CudaEvent() {
  if (event && owner->activate().ok())
    owner->api().eventDestroy(event);
}

Status CudaEvent::record(Stream stream) const {
  const CudaApi &cu = owner->api();
  return cu.check(cu.eventRecord(event, stream), "cuEventRecord");
}

Status CudaEvent::recordInGraph(Stream stream) const {
  const CudaApi &cu = owner->api();
  return cu.check(cu.eventRecordWithFlags(event, stream, eventRecordExternal),
                  "cuEventRecordWithFlags");
}

Status CudaEvent::wait(const std::string &what) const {
  const CudaApi &cu = owner->api();
  return cu.check(cu.eventSynchronize(event), "cuEventSynchronize", what);
}

dsv2::Result<double> CudaEvent::secondsSince(const CudaEvent &begin) const {
  const CudaApi &cu = owner->api();
  float milliseconds = 0;
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.eventElapsedTime(&milliseconds, begin.event, event),
               "cuEventElapsedTime"));
  return static_cast<double>(milliseconds) * 1e-3;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

CudaGraph::CudaGraph(CudaGraph &&other) noexcept
    : owner(std::move(other.owner)),
      graph(std::exchange(other.graph, nullptr)) {}

CudaGraph &CudaGraph::operator=(CudaGraph &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(graph, other.graph);
  return *this;
}

CudaGraph::~CudaGraph() {
  if (graph && owner->activate().ok())
    owner->api().graphExecDestroy(graph);
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

dsv2::Result<CudaStream>
CudaStream::create(std::shared_ptr<CudaDevice> device) {
  CudaStream made;
  DSV2_RETURN_IF_ERROR(device->api().check(
      device->api().streamCreate(&made.stream, streamNonBlocking),
      "cuStreamCreate", device->name()));
  made.owner = std::move(device);
  return made;
}

CudaStream::CudaStream(CudaStream &&other) noexcept
    : owner(std::move(other.owner)),
      stream(std::exchange(other.stream, nullptr)) {}

CudaStream &CudaStream::operator=(CudaStream &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(stream, other.stream);
  return *this;
}

CudaStream::~CudaStream() {
  if (stream && owner->activate().ok())
    owner->api().streamDestroy(stream);
}

dsv2::Result<CudaGraph>
CudaStream::record(const std::string &what,
                   const std::function<Status()> &submit) const {
  const CudaApi &cu = owner->api();
  // Other threads go on with their own streams, and may allocate.
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.streamBeginCapture(stream, captureThreadLocal),
               "cuStreamBeginCapture", what));
  Status submitted = submit();
  // Ends the capture whatever happened.
  Graph recorded = nullptr;
  Status ended = cu.check(cu.streamEndCapture(stream, &recorded),
                          "cuStreamEndCapture", what);
  CudaGraph made;
  made.owner = owner;
  if (submitted.ok() && ended.ok())
    ended = cu.check(cu.graphInstantiate(&made.graph, recorded, 0),
                     "cuGraphInstantiate", what);
  if (recorded)
    cu.graphDestroy(recorded);
  DSV2_RETURN_IF_ERROR(std::move(submitted));
  DSV2_RETURN_IF_ERROR(std::move(ended));
  return made;
}

Status CudaStream::launch(const CudaGraph &graph,
                          const std::string &what) const {
  const CudaApi &cu = owner->api();
  return cu.check(cu.graphLaunch(graph.graph, stream), "cuGraphLaunch", what);
}

Status CudaStream::synchronize(const std::string &what) const {
  const CudaApi &cu = owner->api();
  return cu.check(cu.streamSynchronize(stream), "cuStreamSynchronize", what);
}

} // namespace dsv2::cuda
