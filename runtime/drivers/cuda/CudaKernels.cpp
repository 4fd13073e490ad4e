//===- CudaKernels.cpp - The GPU kernels of an artifact -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaKernels.h"

#include "runtime/schema/artifact_generated.h"

#include <algorithm>

namespace dsv2::cuda {
namespace {

/// What the driver's compiler wrote, as one line.
std::string oneLine(const std::string &log) {
  std::string line = log.substr(0, log.find('\0'));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line.substr(0, 200);
}

dsv2::Result<Module> loadModule(const CudaApi &cu,
                                const schema::Kernel &kernel) {
  const schema::GpuKernel &gpu = *kernel.gpu();
  std::string what = "kernel '" + kernel.symbol()->str() + "'";
  Module module = nullptr;
  if (gpu.cubin() && gpu.cubin()->size() != 0) {
    Result loaded =
        cu.moduleLoadDataEx(&module, gpu.cubin()->data(), 0, nullptr, nullptr);
    if (loaded == success)
      return module;
    if (loaded == outOfMemory)
      return cu.check(loaded, "cuModuleLoadDataEx", what);
  }
  // PTX has to end with a zero.
  std::string ptx(reinterpret_cast<const char *>(gpu.ptx()->data()),
                  gpu.ptx()->size());
  std::string log(4096, '\0');
  int options[] = {jitErrorLog, jitErrorLogBytes};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  Status loaded =
      cu.check(cu.moduleLoadDataEx(&module, ptx.c_str(), 2, options, values),
               "cuModuleLoadDataEx", what);
  if (loaded.ok())
    return module;
  std::string said = oneLine(log);
  return Status(loaded.code(),
                loaded.message() + (said.empty() ? "" : ": " + said));
}

} // namespace

dsv2::Result<CudaKernels> CudaKernels::load(std::shared_ptr<CudaDevice> device,
                                            const schema::Artifact &artifact) {
  CudaKernels kernels;
  kernels.device = std::move(device);
  const CudaApi &cu = kernels.device->api();
  DSV2_RETURN_IF_ERROR(kernels.device->activate());
  for (const schema::Kernel *kernel : *artifact.kernels()) {
    std::string what = "kernel '" + kernel->symbol()->str() + "'";
    dsv2::Result<Module> module = loadModule(cu, *kernel);
    if (!module.ok())
      return module.status();
    kernels.modules.push_back(*module);
    Function function = nullptr;
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.moduleGetFunction(&function, *module, kernel->symbol()->c_str()),
        "cuModuleGetFunction", what));
    auto set = [&](FunctionAttribute attribute, int value) {
      return cu.check(cu.funcSetAttribute(function, attribute, value),
                      "cuFuncSetAttribute", what);
    };
    const schema::GpuKernel &gpu = *kernel->gpu();
    if (gpu.dynamic_shared_bytes())
      DSV2_RETURN_IF_ERROR(set(maxDynamicSharedBytes,
                               static_cast<int>(gpu.dynamic_shared_bytes())));
    if (gpu.cluster() > 8)
      DSV2_RETURN_IF_ERROR(set(nonPortableClusterSize, 1));
    // An SM divides its memory into L1 and shared anew only when it is empty.
    // With one division for all kernels the next may begin on it, or share it,
    // while the last still runs. A hint, which may fail.
    (void)cu.funcSetAttribute(function, preferredSharedCarveout, 100);
    kernels.entries.push_back(function);
  }
  return kernels;
}

CudaKernels::~CudaKernels() {
  if (!device || !device->activate().ok())
    return;
  for (Module module : modules)
    device->api().moduleUnload(module);
}

} // namespace dsv2::cuda
