//===- Harness.h - Compile a fixture and run it -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_INTEGRATION_HARNESS_H
#define DSV2_TEST_INTEGRATION_HARNESS_H

#include "dsv2/dsv2.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace dsv2::test {

/// A dense array of an .npy file.
template <typename T>
struct Array {
  std::vector<int64_t> shape;
  std::vector<T> data;

  int64_t width() const { return shape.back(); }
  const T *row(int64_t index) const { return data.data() + index * width(); }
};

Array<float> readFloats(const std::string &path);
Array<int32_t> readIds(const std::string &path);

/// The artifact of `source` for a dsv2-compile command line, compiled once in a
/// test program; the path is empty, and the test has failed, if that failed.
std::string compiled(const std::string &source, const std::string &flags);

/// A model with a session, for tests that expect no errors.
class Runner {
public:
  explicit Runner(const std::string &artifact, int threads = 2);
  ~Runner();

  int64_t vocab() const { return info.vocab; }
  const dsv2_model_info_t &modelInfo() const { return info; }
  dsv2_model_t *handle() const { return model; }
  dsv2_session_t *sessionHandle() const { return session; }
  dsv2_sequence_t newSequence();
  void release(dsv2_sequence_t sequence);

  struct Input {
    dsv2_sequence_t sequence;
    std::vector<int32_t> tokens;
  };
  /// The logits of every token of every input, in their order.
  std::vector<float> step(const std::vector<Input> &inputs);
  /// All tokens of a new sequence, `chunk` at a time.
  std::vector<float> evaluate(const std::vector<int32_t> &tokens,
                              int64_t chunk);
  /// What greedy decoding appends.
  std::vector<int32_t> generate(const std::vector<int32_t> &prompt,
                                int64_t count);

private:
  dsv2_instance_t *instance = nullptr;
  dsv2_model_t *model = nullptr;
  dsv2_session_t *session = nullptr;
  dsv2_model_info_t info = DSV2_MODEL_INFO_INIT;
};

/// ||a - b|| / ||b||.
double relativeError(const float *a, const float *b, int64_t count);

} // namespace dsv2::test

#endif // DSV2_TEST_INTEGRATION_HARNESS_H
