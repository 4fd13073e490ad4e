//===- FakeCublasLt.cpp - NVIDIA's matrix products without a GPU ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The entry points of libcublasLt that dsv2 uses, over host memory, beside the
// fake driver. Small products in bf16 are computed by loops, with matrices by
// columns as the manual has them; larger ones take no time and leave zeros.
//
//===----------------------------------------------------------------------===//

#include "runtime/base/NumberFormats.h"
#include "runtime/drivers/cuda/CublasLt.h"

#include <cstring>

using namespace dsv2;
using namespace dsv2::cuda;

namespace dsv2::cuda::lt {

struct HandleObject {};
struct PreferenceObject {
  size_t workspaceBytes = 0;
};
struct DescriptionObject {
  bool transposeA = false, fast = false;
};
struct LayoutObject {
  int type;
  uint64_t rows, columns;
  int64_t stride;

  uint64_t at(uint64_t row, uint64_t column) const {
    return row + column * static_cast<uint64_t>(stride);
  }
};

} // namespace dsv2::cuda::lt

namespace {

constexpr lt::Result invalidValue = 7, notSupported = 15;
/// Products of more multiplications are not computed.
constexpr uint64_t mostWork = uint64_t(1) << 20;

template <typename T, typename... Fields>
lt::Result make(T **object, Fields... fields) {
  *object = new T{fields...};
  return lt::success;
}

template <typename T>
lt::Result destroy(T *object) {
  delete object;
  return lt::success;
}

} // namespace

extern "C" {

lt::Result cublasLtCreate(lt::Handle *handle) { return make(handle); }
lt::Result cublasLtDestroy(lt::Handle handle) { return destroy(handle); }
lt::Result cublasLtMatmulDescCreate(lt::Description *made, int compute,
                                    int scale) {
  if (compute != lt::computeFloat32 || scale != lt::float32)
    return notSupported;
  return make(made);
}
lt::Result cublasLtMatmulDescDestroy(lt::Description description) {
  return destroy(description);
}
lt::Result cublasLtMatmulDescSetAttribute(lt::Description description,
                                          int attribute, const void *value,
                                          size_t bytes) {
  if (attribute == lt::transposeA && bytes == 4)
    description->transposeA =
        *static_cast<const int32_t *>(value) == lt::transposed;
  else if (attribute == lt::fastAccumulation && bytes == 1)
    description->fast = true;
  else
    return invalidValue;
  return lt::success;
}
lt::Result cublasLtMatrixLayoutCreate(lt::Layout *made, int type, uint64_t rows,
                                      uint64_t columns, int64_t stride) {
  return make(made, type, rows, columns, stride);
}
lt::Result cublasLtMatrixLayoutDestroy(lt::Layout layout) {
  return destroy(layout);
}
lt::Result cublasLtMatmulPreferenceCreate(lt::Preference *made) {
  return make(made);
}
lt::Result cublasLtMatmulPreferenceDestroy(lt::Preference preference) {
  return destroy(preference);
}
lt::Result cublasLtMatmulPreferenceSetAttribute(lt::Preference preference,
                                                int attribute,
                                                const void *value,
                                                size_t bytes) {
  if (attribute != lt::maxWorkspaceBytes || bytes != sizeof(size_t))
    return invalidValue;
  std::memcpy(&preference->workspaceBytes, value, bytes);
  return lt::success;
}
lt::Result cublasLtMatmulAlgoGetHeuristic(lt::Handle, lt::Description product,
                                          lt::Layout a, lt::Layout b,
                                          lt::Layout c, lt::Layout d,
                                          lt::Preference, int count,
                                          lt::Heuristic *found, int *returned) {
  uint64_t depth = product->transposeA ? a->rows : a->columns;
  uint64_t rows = product->transposeA ? a->columns : a->rows;
  if (depth != b->rows || rows != d->rows || b->columns != d->columns ||
      c != d || a->type != b->type || d->type != lt::bfloat16)
    return invalidValue;
  *returned = count < 2 ? count : 2;
  for (int i = 0; i < *returned; ++i)
    found[i] = {};
  return lt::success;
}

lt::Result cublasLtMatmul(lt::Handle, lt::Description product,
                          const void *alpha, const void *aBytes, lt::Layout a,
                          const void *bBytes, lt::Layout b, const void *,
                          const void *, lt::Layout, void *dBytes, lt::Layout d,
                          const lt::Algorithm *, void *, size_t, Stream) {
  if (!product->transposeA)
    return notSupported;
  uint64_t depth = a->rows;
  bool small = d->rows * d->columns * depth <= mostWork;
  if (!small || a->type != lt::bfloat16) {
    std::memset(dBytes, 0, d->rows * d->columns * 2);
    return lt::success;
  }
  auto *x = static_cast<const uint16_t *>(aBytes);
  auto *y = static_cast<const uint16_t *>(bBytes);
  for (uint64_t column = 0; column < d->columns; ++column)
    for (uint64_t row = 0; row < d->rows; ++row) {
      float sum = 0;
      for (uint64_t k = 0; k < depth; ++k)
        sum += bf16ToFloat(x[a->at(k, row)]) * bf16ToFloat(y[b->at(k, column)]);
      static_cast<uint16_t *>(dBytes)[d->at(row, column)] =
          floatToBf16(sum * *static_cast<const float *>(alpha));
    }
  return lt::success;
}

} // extern "C"
