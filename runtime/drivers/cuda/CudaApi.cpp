//===- CudaApi.cpp - The CUDA driver, opened at run time ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaApi.h"

#include <dlfcn.h>

namespace dsv2::cuda {

dsv2::Result<std::shared_ptr<const CudaApi>>
CudaApi::load(const std::string &library) {
  std::shared_ptr<CudaApi> api(new CudaApi);
  // It stays in the process: the driver has threads and exit handlers of its
  // own, whose code must not go away with the last model.
  api->handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!api->handle)
    return Status(StatusCode::incompatible,
                  "the model is compiled for an NVIDIA GPU and there is no "
                  "CUDA driver here (" +
                      library +
                      " cannot be loaded); install the driver, or compile the "
                      "model with --target=native");
#define DSV2_CUDA_FIND(name, symbol, parameters)                               \
  api->name =                                                                  \
      reinterpret_cast<Result(*) parameters>(dlsym(api->handle, symbol));      \
  if (!api->name)                                                              \
    return Status(StatusCode::incompatible,                                    \
                  "the CUDA driver is too old: expected one with " symbol      \
                  " (CUDA 12.1 or newer); update it");
  DSV2_CUDA_FUNCTIONS(DSV2_CUDA_FIND)
#undef DSV2_CUDA_FIND
  return std::shared_ptr<const CudaApi>(std::move(api));
}

CudaApi::~CudaApi() {
  if (handle)
    dlclose(handle);
}

Status CudaApi::check(Result result, const char *call,
                      const std::string &what) const {
  if (result == success)
    return Status();
  const char *text = nullptr;
  if (getErrorString(result, &text) != success || !text)
    text = "unknown error";
  std::string message = std::string(call) +
                        (what.empty() ? "" : " for " + what) + ": " + text +
                        " (CUDA error " + std::to_string(result) + ")";
  return Status(result == outOfMemory ? StatusCode::exhausted
                                      : StatusCode::internal,
                std::move(message));
}

} // namespace dsv2::cuda
