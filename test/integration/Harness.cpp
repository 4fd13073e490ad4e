//===- Harness.cpp - Compile a fixture and run it -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/integration/Harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <unistd.h>

using namespace dsv2::test;

namespace {

/// The .npy files that the fixtures are made of: version 1, C order.
template <typename T>
Array<T> readNpy(const std::string &path, const char *dtype) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  Array<T> array;
  if (bytes.size() < 10 || bytes.compare(1, 5, "NUMPY") != 0) {
    ADD_FAILURE() << path << " is no .npy file";
    return array;
  }
  size_t headerBytes = static_cast<unsigned char>(bytes[8]) +
                       256u * static_cast<unsigned char>(bytes[9]);
  std::string header = bytes.substr(10, headerBytes);
  EXPECT_NE(header.find(dtype), std::string::npos) << path << ": " << header;
  size_t at = header.find('(', header.find("shape")) + 1;
  while (header[at] != ')') {
    char *end;
    int64_t size = std::strtoll(header.c_str() + at, &end, 10);
    if (end == header.c_str() + at) {
      ++at;
      continue;
    }
    array.shape.push_back(size);
    at = end - header.c_str();
  }
  size_t count = 1;
  for (int64_t size : array.shape)
    count *= size;
  array.data.resize(count);
  EXPECT_EQ(bytes.size(), 10 + headerBytes + count * sizeof(T)) << path;
  std::memcpy(array.data.data(), bytes.data() + 10 + headerBytes,
              count * sizeof(T));
  return array;
}

/// A directory that is removed at the end of the test program.
class ScratchDirectory {
public:
  ScratchDirectory() {
    path = std::filesystem::temp_directory_path() /
           ("dsv2-test-" + std::to_string(getpid()));
    std::filesystem::create_directories(path);
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

void expectOk(dsv2_status_t status) {
  EXPECT_EQ(status, nullptr) << dsv2_status_message(status);
  dsv2_status_release(status);
}

} // namespace

Array<float> dsv2::test::readFloats(const std::string &path) {
  return readNpy<float>(path, "<f4");
}

Array<int32_t> dsv2::test::readIds(const std::string &path) {
  return readNpy<int32_t>(path, "<i4");
}

std::string dsv2::test::compiled(const std::string &source,
                                 const std::string &flags) {
  static ScratchDirectory scratch;
  static std::map<std::string, std::string> known;
  std::string &path = known[source + " " + flags];
  if (path.empty()) {
    path = scratch.path / (std::to_string(known.size()) + ".dsv2");
    std::string command = std::string(DSV2_COMPILE) + " " + source + " -q -o " +
                          path + " " + flags;
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
  return std::filesystem::exists(path) ? path : "";
}

Runner::Runner(const std::string &artifact, int threads) {
  dsv2_instance_options_t options = DSV2_INSTANCE_OPTIONS_INIT;
  options.threads = threads;
  options.pin_threads = false;
  expectOk(dsv2_instance_create(&options, &instance));
  expectOk(dsv2_model_load(instance, artifact.c_str(), nullptr, &model));
  if (!model)
    return;
  expectOk(dsv2_model_info(model, &info));
  expectOk(dsv2_session_create(model, nullptr, &session));
}

Runner::~Runner() {
  dsv2_session_release(session);
  dsv2_model_release(model);
  dsv2_instance_release(instance);
}

dsv2_sequence_t Runner::newSequence() {
  dsv2_sequence_t sequence = -1;
  expectOk(dsv2_sequence_create(session, &sequence));
  return sequence;
}

void Runner::release(dsv2_sequence_t sequence) {
  expectOk(dsv2_sequence_release(session, sequence));
}

std::vector<float> Runner::step(const std::vector<Input> &inputs) {
  std::vector<dsv2_sequence_input_t> described;
  for (const Input &input : inputs)
    described.push_back({input.sequence, input.tokens.data(),
                         input.tokens.size(), DSV2_LOGITS_ALL});
  dsv2_logits_t logits = {nullptr, 0, 0};
  expectOk(
      dsv2_session_step(session, described.data(), described.size(), &logits));
  return {logits.data, logits.data + logits.rows * logits.vocab};
}

std::vector<float> Runner::evaluate(const std::vector<int32_t> &tokens,
                                    int64_t chunk) {
  std::vector<float> logits;
  dsv2_sequence_t sequence = newSequence();
  int64_t count = tokens.size();
  for (int64_t first = 0; first < count; first += chunk) {
    auto begin = tokens.begin() + first;
    std::vector<float> part =
        step({{sequence, {begin, begin + std::min(chunk, count - first)}}});
    logits.insert(logits.end(), part.begin(), part.end());
  }
  release(sequence);
  return logits;
}

std::vector<int32_t> Runner::generate(const std::vector<int32_t> &prompt,
                                      int64_t count) {
  std::vector<int32_t> generated;
  dsv2_sequence_t sequence = newSequence();
  std::vector<int32_t> next = prompt;
  while (static_cast<int64_t>(generated.size()) < count) {
    std::vector<float> logits = step({{sequence, next}});
    if (logits.empty())
      return generated;
    auto last = logits.end() - vocab();
    next = {static_cast<int32_t>(std::max_element(last, logits.end()) - last)};
    generated.push_back(next[0]);
  }
  release(sequence);
  return generated;
}

double dsv2::test::relativeError(const float *a, const float *b,
                                 int64_t count) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < count; ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}
