//===- FakeCuda.h - The state of a CUDA driver without a GPU ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_RUNTIME_DRIVERS_CUDA_FAKECUDA_H
#define DSV2_TEST_RUNTIME_DRIVERS_CUDA_FAKECUDA_H

#include "runtime/drivers/cuda/CudaTypes.h"
#include "test/lowering/nvptx/emulator/PtxEmulator.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace dsv2::cuda {

struct ContextObject {};
struct EventObject {
  bool hasTime = true;
  uint64_t at = 0; ///< 0: not recorded yet
};
struct ModuleObject {
  ptx::Module module;
  bool isCubin = false;
};
struct FunctionObject {
  const ModuleObject *module;
  std::string name;
};
struct Node {
  const FunctionObject *function = nullptr;
  LaunchConfig config = {};
  std::vector<uint8_t> params = {};
  bool dependent = false;
  EventObject *event = nullptr; ///< to record, without a function
};
struct GraphObject {
  std::vector<Node> nodes;
};
struct GraphExecObject {
  std::vector<Node> nodes;
};
struct StreamObject {
  bool capturing = false;
  GraphObject recorded;
};

} // namespace dsv2::cuda

namespace dsv2::fake {

struct Driver {
  std::mutex mutex;
  std::map<std::string, std::string> settings;
  std::map<cuda::DevicePointer, size_t> memory;
  std::map<uintptr_t, size_t> registered; ///< host memory
  uint64_t nanoseconds = 1;
  size_t used = 0;
  std::string lastError;
  cuda::ContextObject context;

  std::string setting(const char *name, const char *usual) const {
    auto found = settings.find(name);
    return found == settings.end() ? usual : found->second;
  }
  size_t capacity() const {
    return std::strtoull(setting("memory", "1073741824").c_str(), nullptr, 10);
  }
  /// Reads the environment.
  void configure();
};

/// That of the process.
Driver &driver();

/// Appends a line to the log.
void note(const std::string &line);
/// Notes a call; the error it is to return.
cuda::Result called(const char *name);

/// What the driver returns for a call that a recording stream cannot take.
inline constexpr cuda::Result captureUnsupported = 900;

} // namespace dsv2::fake

/// How each call begins: alone, and with the error it is to return.
#define ENTER(name)                                                            \
  std::lock_guard lock(fake::driver().mutex);                                  \
  if (cuda::Result error = fake::called(name))                                 \
  return error

/// The stream of a call that is not to be recorded.
#define ENTER_WITH(name, stream)                                               \
  ENTER(name);                                                                 \
  if ((stream)->capturing)                                                     \
  return fake::captureUnsupported

#endif // DSV2_TEST_RUNTIME_DRIVERS_CUDA_FAKECUDA_H
