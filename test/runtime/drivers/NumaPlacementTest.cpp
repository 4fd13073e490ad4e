//===- NumaPlacementTest.cpp - Memory nodes -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/NumaPlacement.h"

#include "runtime/drivers/cpu/LargeBuffer.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace dsv2;
using namespace dsv2::test;

TEST(NumaPlacementTest, Nodes) {
  TemporaryDirectory directory;
  std::string root = directory.path("");
  EXPECT_TRUE(numaNodes(root).empty());
  writeFile(root + "/online", "0-3\n");
  EXPECT_EQ(numaNodes(root), std::vector<int>({0, 1, 2, 3}));
  // Node 1 has CPUs only.
  writeFile(root + "/has_memory", "0,2-3\n");
  EXPECT_EQ(numaNodes(root), std::vector<int>({0, 2, 3}));
}

TEST(NumaPlacementTest, Matters) {
  EXPECT_FALSE((NumaPlacement{NumaMode::interleave, {}}.matters()));
  EXPECT_FALSE((NumaPlacement{NumaMode::interleave, {0}}.matters()));
  EXPECT_FALSE((NumaPlacement{NumaMode::inherit, {0, 1}}.matters()));
  EXPECT_TRUE((NumaPlacement{NumaMode::interleave, {0, 1}}.matters()));
  EXPECT_TRUE((NumaPlacement{NumaMode::local, {0, 1}}.matters()));
}

static int policyOfThread() {
  int mode = -1;
  unsigned long nodes[16] = {};
  if (::syscall(SYS_get_mempolicy, &mode, nodes, 1024, nullptr, 0) != 0)
    return -1;
  return mode;
}

/// A placement of one node, but said to be on two, so that it is carried out
/// on every machine.
TEST(NumaPlacementTest, ScopesAndBuffers) {
  int before = policyOfThread();
  if (before < 0)
    GTEST_SKIP() << "no memory policies here";
  std::vector<int> present = numaNodes();
  ASSERT_FALSE(present.empty());
  NumaPlacement placement{NumaMode::interleave, {present[0], present[0]}};
  {
    ScopedPlacement scope(placement);
    EXPECT_EQ(policyOfThread(), MPOL_INTERLEAVE);
  }
  EXPECT_EQ(policyOfThread(), before);
  placement.mode = NumaMode::local;
  {
    ScopedPlacement scope(placement);
    EXPECT_EQ(policyOfThread(), MPOL_LOCAL);
  }
  EXPECT_EQ(policyOfThread(), before);

  Result<LargeBuffer> buffer = LargeBuffer::allocate(1 << 22, "a test");
  ASSERT_TRUE(buffer.ok());
  placement.mode = NumaMode::interleave;
  placement.apply(buffer->data(), buffer->size());
  int mode = -1;
  ASSERT_EQ(::syscall(SYS_get_mempolicy, &mode, nullptr, 0, buffer->data(),
                      MPOL_F_ADDR),
            0);
  EXPECT_EQ(mode, MPOL_INTERLEAVE);
  buffer->data()[0] = std::byte(1);
}
