//===- GgufCheckpoint.h - A model in GGUF files -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The tensors of the architecture `deepseek2` under the names of a Hugging Face
// checkpoint, from one file or from all parts of a split one.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_GGUFCHECKPOINT_H
#define DSV2_MODELS_GGUFCHECKPOINT_H

#include "models/Config.h"
#include "models/Gguf.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

class GgufCheckpoint : public TensorSource {
public:
  /// Opens a file, or the first of a split model, and all tensors of the model.
  static Result<GgufCheckpoint> open(const std::string &path);

  const Config &config() const { return modelConfig; }
  /// The config.json that the metadata stands for.
  const std::string &configJson() const { return configText; }
  /// The metadata, of the first file.
  const GgufContents &contents() const { return files.front().contents(); }

  /// What a user should know: what was guessed, and which weights change their
  /// format unless they are quantized otherwise. A line each.
  const std::vector<std::string> &notes() const { return remarks; }

  Result<TensorInfo> info(std::string_view name) const override;
  Status readRows(std::string_view name, int64_t firstRow, int64_t rows,
                  float *out) const override;
  Status readGroups(std::string_view name, int64_t firstRow, int64_t rows,
                    int8_t *quants, uint16_t *scales) const override;

private:
  /// Where a tensor of the model is.
  struct Place {
    const GgufTensor *tensor = nullptr;
    int64_t firstRow = 0;
    /// Projections of the latent that are stored apart: the values of each
    /// head, while `tensor` has the keys, transposed.
    const GgufTensor *values = nullptr;
    TensorInfo info;
  };

  GgufCheckpoint() = default;

  Status openParts(const std::string &path);
  Status indexTensors();
  Status addPlace(const ExpectedTensor &expected);
  Status findUnknown() const;
  Status checkShape(const GgufTensor &tensor, int64_t rows,
                    int64_t columns) const;
  void describeFormats();
  const GgufTensor *find(std::string_view ggufName) const;
  Result<const Place *> placeOf(std::string_view name, int64_t firstRow,
                                int64_t rows) const;
  Status readTensorRows(const GgufTensor &tensor, int64_t firstRow,
                        int64_t rows, float *out) const;
  Status readSplitRows(const Place &place, int64_t firstRow, int64_t rows,
                       float *out) const;
  Status notFinite(const GgufTensor &tensor) const;

  std::vector<GgufFile> files;
  std::map<std::string_view, const GgufTensor *> tensors; ///< by GGUF name
  std::map<std::string, Place, std::less<>> places;       ///< by our name
  std::vector<const GgufTensor *> used;
  Config modelConfig;
  std::string configText;
  std::vector<std::string> remarks;
};

} // namespace dsv2

#endif // DSV2_MODELS_GGUFCHECKPOINT_H
