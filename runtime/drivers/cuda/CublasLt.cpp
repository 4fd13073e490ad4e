//===- CublasLt.cpp - NVIDIA's matrix products, to compare with -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CublasLt.h"

#include <dlfcn.h>
#include <utility>

namespace dsv2::cuda {

/// What NVIDIA recommends for Hopper.
static constexpr uint64_t workspaceBytes = uint64_t(32) << 20;
static constexpr int maxAlgorithms = 8;

//===----------------------------------------------------------------------===//
// The library
//===----------------------------------------------------------------------===//

dsv2::Result<std::shared_ptr<const CublasLt>>
CublasLt::load(std::shared_ptr<CudaDevice> device,
               const std::vector<std::string> &libraries) {
  DSV2_RETURN_IF_ERROR(device->activate());
  // It stays open: it ends with the process, after its own threads.
  void *found = nullptr;
  for (const std::string &library : libraries)
    if (!found)
      found = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!found)
    return Status(StatusCode::notFound,
                  "no cuBLASLt here (" + libraries.front() +
                      " cannot be loaded), so the rate of matrix products is "
                      "not measured; name its folder in LD_LIBRARY_PATH");
  std::shared_ptr<CublasLt> loaded(new CublasLt);
#define DSV2_CUBLASLT_FIND(name, parameters)                                   \
  loaded->name = reinterpret_cast<lt::Result(*) parameters>(                   \
      dlsym(found, "cublasLt" #name));                                         \
  if (!loaded->name)                                                           \
    return Status(StatusCode::incompatible,                                    \
                  "cuBLASLt is too old: expected one with cublasLt" #name);
  DSV2_CUBLASLT_FUNCTIONS(DSV2_CUBLASLT_FIND)
#undef DSV2_CUBLASLT_FIND
  dsv2::Result<DeviceBuffer> scratch = DeviceBuffer::allocate(
      device, workspaceBytes, "the workspace of cuBLASLt");
  if (!scratch.ok())
    return scratch.status();
  loaded->scratch = *std::move(scratch);
  loaded->owner = std::move(device);
  DSV2_RETURN_IF_ERROR(
      loaded->check(loaded->Create(&loaded->opened), "cublasLtCreate"));
  return std::shared_ptr<const CublasLt>(std::move(loaded));
}

CublasLt::~CublasLt() {
  if (opened && owner->activate().ok())
    Destroy(opened);
}

Status CublasLt::check(lt::Result result, const char *call) const {
  if (result == lt::success)
    return Status();
  return Status(StatusCode::internal, std::string(call) +
                                          " failed (cuBLAS error " +
                                          std::to_string(result) + ")");
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

dsv2::Result<CublasLtProduct>
CublasLtProduct::create(std::shared_ptr<const CublasLt> library,
                        const Shape &shape) {
  CublasLtProduct product(std::move(library));
  DSV2_RETURN_IF_ERROR(product.prepare(shape));
  DSV2_RETURN_IF_ERROR(product.findAlgorithms());
  return product;
}

/// The library counts columns first, so rows of ours are columns of its: it
/// computes y^T = (w^T)^T * x^T.
Status CublasLtProduct::prepare(const Shape &shape) {
  const CublasLt &lt = *library;
  auto unsignedOf = [](int64_t size) { return static_cast<uint64_t>(size); };
  DSV2_RETURN_IF_ERROR(lt.check(
      lt.MatmulDescCreate(&description, lt::computeFloat32, lt::float32),
      "cublasLtMatmulDescCreate"));
  auto set = [&](lt::DescriptionAttribute attribute, const void *value,
                 size_t bytes) {
    return lt.check(
        lt.MatmulDescSetAttribute(description, attribute, value, bytes),
        "cublasLtMatmulDescSetAttribute");
  };
  DSV2_RETURN_IF_ERROR(
      set(lt::transposeA, &lt::transposed, sizeof(lt::transposed)));
  if (shape.type == lt::float8e4m3) {
    // Its fastest: partial sums stay in the tensor cores.
    int8_t fast = 1;
    DSV2_RETURN_IF_ERROR(set(lt::fastAccumulation, &fast, sizeof(fast)));
  }
  struct {
    lt::DataType type;
    int64_t rows, columns;
  } const matrices[] = {{shape.type, shape.k, shape.n},
                        {shape.type, shape.k, shape.m},
                        {lt::bfloat16, shape.n, shape.m}};
  for (int i = 0; i < 3; ++i)
    DSV2_RETURN_IF_ERROR(lt.check(
        lt.MatrixLayoutCreate(
            &layouts[i], matrices[i].type, unsignedOf(matrices[i].rows),
            unsignedOf(matrices[i].columns), matrices[i].rows),
        "cublasLtMatrixLayoutCreate"));
  return Status();
}

Status CublasLtProduct::findAlgorithms() {
  const CublasLt &lt = *library;
  lt::Preference preference = nullptr;
  DSV2_RETURN_IF_ERROR(lt.check(lt.MatmulPreferenceCreate(&preference),
                                "cublasLtMatmulPreferenceCreate"));
  size_t bytes = lt.workspace().size();
  lt::Heuristic found[maxAlgorithms] = {};
  int count = 0;
  Status status =
      lt.check(lt.MatmulPreferenceSetAttribute(
                   preference, lt::maxWorkspaceBytes, &bytes, sizeof(bytes)),
               "cublasLtMatmulPreferenceSetAttribute");
  if (status.ok())
    status = lt.check(
        lt.MatmulAlgoGetHeuristic(lt.handle(), description, layouts[0],
                                  layouts[1], layouts[2], layouts[2],
                                  preference, maxAlgorithms, found, &count),
        "cublasLtMatmulAlgoGetHeuristic");
  lt.MatmulPreferenceDestroy(preference);
  DSV2_RETURN_IF_ERROR(std::move(status));
  for (int i = 0; i < count; ++i)
    if (found[i].state == lt::success)
      algorithms.push_back(found[i].algorithm);
  if (algorithms.empty())
    return Status(StatusCode::incompatible,
                  "cuBLASLt has no product of this shape and type");
  return Status();
}

CublasLtProduct::CublasLtProduct(CublasLtProduct &&other) noexcept
    : library(std::move(other.library)),
      description(std::exchange(other.description, nullptr)),
      algorithms(std::move(other.algorithms)) {
  for (int i = 0; i < 3; ++i)
    layouts[i] = std::exchange(other.layouts[i], nullptr);
}

CublasLtProduct::~CublasLtProduct() {
  for (lt::Layout layout : layouts)
    if (layout)
      library->MatrixLayoutDestroy(layout);
  if (description)
    library->MatmulDescDestroy(description);
}

Status CublasLtProduct::run(size_t algorithm, DevicePointer x, DevicePointer w,
                            DevicePointer y) const {
  const CublasLt &lt = *library;
  auto pointer = [](DevicePointer address) {
    return reinterpret_cast<void *>(address);
  };
  float one = 1, zero = 0;
  return lt.check(lt.Matmul(lt.handle(), description, &one, pointer(w),
                            layouts[0], pointer(x), layouts[1], &zero,
                            pointer(y), layouts[2], pointer(y), layouts[2],
                            &algorithms[algorithm],
                            pointer(lt.workspace().address()),
                            lt.workspace().size(), lt.device().stream()),
                  "cublasLtMatmul");
}

} // namespace dsv2::cuda
