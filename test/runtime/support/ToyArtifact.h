//===- ToyArtifact.h - Small artifacts for tests ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A model of a few bytes that exercises the whole runtime; toy_kernels.c says
// what it computes.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_RUNTIME_SUPPORT_TOYARTIFACT_H
#define DSV2_TEST_RUNTIME_SUPPORT_TOYARTIFACT_H

#include "runtime/artifact/ArtifactWriter.h"
#include "runtime/schema/artifact_generated.h"

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace dsv2::test {

inline constexpr int64_t toyVocab = 32;
inline constexpr int64_t toyPageSize = 4;
inline constexpr int64_t toyMaxContext = 64;
inline constexpr int64_t toyMaxBatch = 24;
inline constexpr int64_t toyMaxSequences = 8;
inline constexpr int64_t toyMaxLogitRows = 16;

/// The kernels of toy_kernels.c, in the order of their indices.
enum class ToyKernel : uint32_t {
  append,
  sumPages,
  sumContext,
  logits,
  mix,
  count,
  firstToken
};

schema::Binding arenaAt(uint64_t offset);
schema::Binding weightAt(uint32_t index);
schema::Binding cacheOf(uint32_t layer);
schema::Binding batch(schema::BatchField field);
schema::Binding constantAt(uint64_t offset);
schema::Binding logitsBinding();

std::unique_ptr<schema::DispatchT>
makeDispatch(ToyKernel kernel, schema::Workgroups workgroups,
             std::initializer_list<schema::Binding> bindings,
             bool barrier = true);

/// The metadata without its weight's place: "decode" sums over pages,
/// "prefill" over context rows.
schema::ArtifactT toyMetadata();

/// The values of the only weight.
std::vector<float> toyWeight();

/// Writes the weight and the metadata, changed by `change`.
Status writeToy(const std::string &path,
                const std::function<void(schema::ArtifactT &)> &change = {});

/// Changes the metadata to one for a GPU, with one kernel:
/// logits[r][v] = weight[v] + T + the token that row r is of.
void makeToyForGpu(schema::ArtifactT &artifact);

/// Logits after the tokens of one sequence.
std::vector<float> toyLogits(const std::vector<int32_t> &tokens);

/// A directory that disappears with the object.
class TemporaryDirectory {
public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string path(const std::string &name) const {
    return directory + "/" + name;
  }

private:
  std::string directory;
};

std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &contents);

} // namespace dsv2::test

#endif // DSV2_TEST_RUNTIME_SUPPORT_TOYARTIFACT_H
