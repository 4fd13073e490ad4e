//===- CudaRoofline.cpp - What the GPU can do -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/CudaRoofline.h"

using namespace dsv2;

Result<std::unique_ptr<CudaRoofline>>
CudaRoofline::create(std::shared_ptr<cuda::CudaDevice> device) {
  std::unique_ptr<CudaRoofline> roofline(new CudaRoofline);
  Result<std::unique_ptr<cuda::CudaRates>> rates =
      cuda::CudaRates::create(std::move(device));
  if (!rates.ok())
    return rates.status();
  roofline->rates = *std::move(rates);
  return roofline;
}

Result<Limits> CudaRoofline::measure(uint64_t) {
  Limits limits;
  Result<double> copy = rates->copyRate();
  if (!copy.ok())
    return copy.status();
  Result<double> matmul = rates->matmulRate();
  if (!matmul.ok())
    return matmul.status();
  limits.readBytes = *copy;
  limits.operations[static_cast<size_t>(DotType::bf16)] = *matmul;
  return limits;
}
