//===- RandomTensorSource.h - Weights out of a seed -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Pseudo-random weights for any config, so that a model can be compiled, run
// and measured at full size without a checkpoint. Each element is a function of
// the seed, the name of its tensor and its index: the order of reads, the
// number of threads and the machine do not matter.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_RANDOMTENSORSOURCE_H
#define DSV2_MODELS_RANDOMTENSORSOURCE_H

#include "models/Config.h"
#include "models/TensorSource.h"

#include <map>
#include <string>

namespace dsv2 {

/// The tensors of a model with values that keep activations finite: matrices
/// preserve variance, norms are near 1, and the embedding has unit variance.
class RandomTensorSource : public TensorSource {
public:
  RandomTensorSource(const Config &config, uint64_t seed);

  Result<TensorInfo> info(std::string_view name) const override;
  Status readRows(std::string_view name, int64_t firstRow, int64_t rows,
                  float *out) const override;

private:
  uint64_t seed;
  std::map<std::string, TensorInfo, std::less<>> tensors;
};

/// Elements [first, first + count) of the stream `key`: roughly normal with
/// the given mean and standard deviation, and never farther than 3.5 of those
/// from the mean.
void fillRandom(uint64_t key, int64_t first, int64_t count, float mean,
                float deviation, float *out);

} // namespace dsv2

#endif // DSV2_MODELS_RANDOMTENSORSOURCE_H
