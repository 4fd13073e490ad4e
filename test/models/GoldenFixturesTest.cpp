//===- GoldenFixturesTest.cpp - Checkpoints written by transformers -------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace dsv2;

TEST(GoldenFixtures, AreCompleteAndReadable) {
  int count = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(DSV2_GOLDEN_FIXTURES)) {
    if (!std::filesystem::exists(entry.path() / "config.json"))
      continue;
    SCOPED_TRACE(entry.path().string());
    ++count;
    Result<Checkpoint> checkpoint = Checkpoint::open(entry.path().string());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    Status status = checkpoint->verify(checkpoint->config());
    ASSERT_TRUE(status.ok()) << status.message();
    for (const ExpectedTensor &tensor : expectedTensors(checkpoint->config())) {
      Result<TensorInfo> info = checkpoint->info(tensor.name);
      ASSERT_TRUE(info.ok());
      std::vector<float> out(info->rows() * info->rowSize());
      status = checkpoint->readRows(tensor.name, 0, info->rows(), out.data());
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }
  EXPECT_GT(count, 0);
}
