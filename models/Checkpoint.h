//===- Checkpoint.h - A Hugging Face checkpoint directory -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Finds the tensors of a directory with a config.json and one safetensors file
// or an index of several. Nothing is copied: tensors stay in the mapped files
// until rows of them are read.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_CHECKPOINT_H
#define DSV2_MODELS_CHECKPOINT_H

#include "models/Config.h"
#include "models/Safetensors.h"
#include "models/TensorSource.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

class Checkpoint : public TensorSource {
public:
  static Result<Checkpoint> open(const std::string &directory);

  const Config &config() const { return modelConfig; }
  const std::string &directory() const { return path; }

  /// The tensor called `name`, or null. Safe to keep while this lives, and
  /// when it moves.
  const TensorView *find(std::string_view name) const;

  /// All tensors, sorted by name.
  std::vector<std::string_view> names() const;

  /// The tensors that a model of `config` has no use for, sorted by name.
  /// Not among them are those that are known and not needed: buffers of rotary
  /// frequencies, the layers for multi-token prediction behind the last layer,
  /// and the head of a model that ties it to the embedding.
  std::vector<std::string_view> unknownTensors(const Config &config) const;

  /// Checks that every tensor of the model is here with the right shape and a
  /// type that readRows() converts, and that nothing is unknown.
  Status verify(const Config &config) const;

  /// The shape, and the type as stored.
  Result<TensorInfo> info(std::string_view name) const override;

  /// Reads F32, F16, BF16, and F8_E4M3 with block scales.
  Status readRows(std::string_view name, int64_t firstRow, int64_t rows,
                  float *out) const override;

  Status readFp8(std::string_view name, int64_t firstRow, int64_t rows,
                 uint8_t *quants, float *scales) const override;

private:
  Checkpoint() = default;

  Status openShards(const std::string &indexPath);
  Status addFile(const std::string &fileName);
  Status verifyTensor(const ExpectedTensor &expected,
                      const Config &config) const;
  Result<const TensorView *> findScales(const TensorView &weight,
                                        const Config &config) const;
  Result<float> readScale(const TensorView &scales, int64_t index) const;
  Status readFp8Rows(const TensorView &weight, int64_t firstRow, int64_t rows,
                     float *out) const;

  std::string path;
  Config modelConfig;
  std::vector<Safetensors> files;
  std::map<std::string_view, const TensorView *> tensors;
};

} // namespace dsv2

#endif // DSV2_MODELS_CHECKPOINT_H
