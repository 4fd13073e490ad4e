//===- Replay.h - A recorded kernel run, on a GPU ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_INTEGRATION_GPU_REPLAY_H
#define DSV2_TEST_INTEGRATION_GPU_REPLAY_H

#include "runtime/drivers/cuda/CudaDevice.h"
#include "test/lowering/nvptx/RecordedCase.h"

namespace dsv2 {

/// ||found - expected|| / ||expected|| as f32 (width 4) or bf16 (2); infinite
/// when one is NaN where the other is not: padding must stay untouched.
double errorAs(const std::vector<uint8_t> &found,
               const std::vector<uint8_t> &expected, size_t width);

/// Repeats a run. The largest error of any binding, whose elements are taken
/// for what gives the smaller one.
Result<double> replay(std::shared_ptr<cuda::CudaDevice> device,
                      const test::RecordedCase &recorded);

} // namespace dsv2

#endif // DSV2_TEST_INTEGRATION_GPU_REPLAY_H
