//===- CublasLt.h - NVIDIA's matrix products, to compare with ---*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Measurements compare with what NVIDIA's library reaches on the same device in
// the same run. It is opened at run time, and models never need it. What is
// declared here of its binary interface is compared with the toolkit's header
// by a test.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUBLASLT_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUBLASLT_H

#include "runtime/drivers/cuda/CudaDevice.h"

#include <memory>
#include <string>
#include <vector>

namespace dsv2::cuda {

namespace lt {

using Result = int; ///< cublasStatus_t
inline constexpr Result success = 0;

using Handle = struct HandleObject *;
using Description = struct DescriptionObject *;
using Layout = struct LayoutObject *;
using Preference = struct PreferenceObject *;

enum DataType : int { float32 = 0, bfloat16 = 14, float8e4m3 = 28 };
inline constexpr int computeFloat32 = 68;
inline constexpr int32_t transposed = 1;

enum DescriptionAttribute : int { transposeA = 3, fastAccumulation = 25 };
enum PreferenceAttribute : int { maxWorkspaceBytes = 1 };

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspaceBytes;
  Result state;
  float waves;
  int reserved[4];
};

} // namespace lt

/// X(name of a member, parameters); symbols begin with "cublasLt".
#define DSV2_CUBLASLT_FUNCTIONS(X)                                             \
  X(Create, (lt::Handle *))                                                    \
  X(Destroy, (lt::Handle))                                                     \
  X(MatmulDescCreate, (lt::Description *, int, int))                           \
  X(MatmulDescDestroy, (lt::Description))                                      \
  X(MatmulDescSetAttribute, (lt::Description, int, const void *, size_t))      \
  X(MatrixLayoutCreate, (lt::Layout *, int, uint64_t, uint64_t, int64_t))      \
  X(MatrixLayoutDestroy, (lt::Layout))                                         \
  X(MatmulPreferenceCreate, (lt::Preference *))                                \
  X(MatmulPreferenceDestroy, (lt::Preference))                                 \
  X(MatmulPreferenceSetAttribute, (lt::Preference, int, const void *, size_t)) \
  X(MatmulAlgoGetHeuristic,                                                    \
    (lt::Handle, lt::Description, lt::Layout, lt::Layout, lt::Layout,          \
     lt::Layout, lt::Preference, int, lt::Heuristic *, int *))                 \
  X(Matmul,                                                                    \
    (lt::Handle, lt::Description, const void *, const void *, lt::Layout,      \
     const void *, lt::Layout, const void *, const void *, lt::Layout, void *, \
     lt::Layout, const lt::Algorithm *, void *, size_t, Stream))

/// The library, with a handle for one device.
class CublasLt {
public:
  /// Opens the first of `libraries` that there is; an error says in one line
  /// what is missing.
  static dsv2::Result<std::shared_ptr<const CublasLt>>
  load(std::shared_ptr<CudaDevice> device,
       const std::vector<std::string> &libraries = {
           "libcublasLt.so.13", "libcublasLt.so.12",
           "/usr/local/cuda/lib64/libcublasLt.so"});

  ~CublasLt();
  CublasLt(const CublasLt &) = delete;

#define DSV2_CUBLASLT_MEMBER(name, parameters)                                 \
  lt::Result(*name) parameters = nullptr;
  DSV2_CUBLASLT_FUNCTIONS(DSV2_CUBLASLT_MEMBER)
#undef DSV2_CUBLASLT_MEMBER

  Status check(lt::Result result, const char *call) const;
  CudaDevice &device() const { return *owner; }
  lt::Handle handle() const { return opened; }
  const DeviceBuffer &workspace() const { return scratch; }

private:
  CublasLt() = default;

  std::shared_ptr<CudaDevice> owner;
  lt::Handle opened = nullptr;
  DeviceBuffer scratch;
};

/// y[M][N] = x[M][K] * w[N][K]^T with sums in f32 and y in bf16.
class CublasLtProduct {
public:
  struct Shape {
    int64_t m, n, k;
    lt::DataType type = lt::bfloat16; ///< of x and w
  };
  static dsv2::Result<CublasLtProduct>
  create(std::shared_ptr<const CublasLt> library, const Shape &shape);

  CublasLtProduct(CublasLtProduct &&other) noexcept;
  CublasLtProduct &operator=(CublasLtProduct &&other) = delete;
  ~CublasLtProduct();

  /// Those that the library thinks best, best first; at least one.
  size_t algorithmCount() const { return algorithms.size(); }
  /// Submits it to the device's stream.
  Status run(size_t algorithm, DevicePointer x, DevicePointer w,
             DevicePointer y) const;

private:
  explicit CublasLtProduct(std::shared_ptr<const CublasLt> library)
      : library(std::move(library)) {}
  Status prepare(const Shape &shape);
  Status findAlgorithms();

  std::shared_ptr<const CublasLt> library;
  lt::Description description = nullptr;
  lt::Layout layouts[3] = {}; ///< w, x, y
  std::vector<lt::Algorithm> algorithms;
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUBLASLT_H
