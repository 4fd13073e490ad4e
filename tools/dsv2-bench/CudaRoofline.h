//===- CudaRoofline.h - What the GPU can do ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_CUDAROOFLINE_H
#define DSV2_TOOLS_BENCH_CUDAROOFLINE_H

#include "tools/dsv2-bench/CudaRates.h"
#include "tools/dsv2-bench/Roofline.h"

namespace dsv2 {

/// Copies in device memory bound the bytes, NVIDIA's products in bf16 bound
/// what is multiplied in bf16. Other products are not bounded. The bytes of a
/// step are taken to be more than caches hold.
class CudaRoofline final : public Roofline {
public:
  static Result<std::unique_ptr<CudaRoofline>>
  create(std::shared_ptr<cuda::CudaDevice> device);

  Result<Limits> measure(uint64_t workingSet) override;

  /// Why products bound nothing; ok when they do.
  const Status &matmulStatus() const { return rates->matmulStatus(); }

private:
  CudaRoofline() = default;
  std::unique_ptr<cuda::CudaRates> rates;
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_CUDAROOFLINE_H
