//===- CpuTopologyTest.cpp - CPUs and quotas ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/CpuTopology.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

using namespace dsv2;
using namespace dsv2::test;

TEST(CpuTopologyTest, CpuLists) {
  EXPECT_EQ(parseCpuList("0\n"), std::vector<int>({0}));
  EXPECT_EQ(parseCpuList("0-2,8,10-11\n"),
            std::vector<int>({0, 1, 2, 8, 10, 11}));
  EXPECT_TRUE(parseCpuList("").empty());
  EXPECT_TRUE(parseCpuList("none").empty());
  EXPECT_TRUE(parseCpuList("1-").empty());
  EXPECT_TRUE(parseCpuList("0-99999999999").empty());
}

TEST(CpuTopologyTest, QuotaOfVersion2) {
  TemporaryDirectory directory;
  std::string mount = directory.path("cgroup");
  std::filesystem::create_directories(mount + "/a/b");
  EXPECT_EQ(cgroupCpuQuota("0::/a/b\n", mount), 0);
  writeFile(mount + "/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroupCpuQuota("0::/a/b\n", mount), 0);
  writeFile(mount + "/a/b/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroupCpuQuota("0::/a/b\n", mount), 2.5);
  // A group cannot have more than those that contain it.
  writeFile(mount + "/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroupCpuQuota("0::/a/b\n", mount), 1.5);
  writeFile(mount + "/cpu.max", "100000 100000\n");
  EXPECT_EQ(cgroupCpuQuota("0::/a/b\n", mount), 1);
  EXPECT_EQ(cgroupCpuQuota("0::/\n", mount), 1);
}

TEST(CpuTopologyTest, QuotaOfVersion1) {
  TemporaryDirectory directory;
  std::string mount = directory.path("cgroup");
  std::string group = mount + "/cpu,cpuacct/docker/x";
  std::filesystem::create_directories(group);
  std::string membership = "12:memory:/docker/x\n"
                           "4:cpu,cpuacct:/docker/x\n"
                           "3:cpuset:/docker/x\n";
  writeFile(group + "/cpu.cfs_quota_us", "-1\n");
  writeFile(group + "/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroupCpuQuota(membership, mount), 0);
  writeFile(group + "/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(cgroupCpuQuota(membership, mount), 3);
}

TEST(CpuTopologyTest, MalformedMembership) {
  EXPECT_EQ(cgroupCpuQuota("", "/nowhere"), 0);
  EXPECT_EQ(cgroupCpuQuota("garbage\n::\n:", "/nowhere"), 0);
}

TEST(CpuTopologyTest, DefaultThreads) {
  CpuTopology topology;
  topology.physicalCores = 8;
  EXPECT_EQ(topology.defaultThreads(), 8);
  topology.quota = 2.5;
  EXPECT_EQ(topology.defaultThreads(), 3);
  topology.quota = 0.2;
  EXPECT_EQ(topology.defaultThreads(), 1);
  topology.quota = 64;
  EXPECT_EQ(topology.defaultThreads(), 8);
}

TEST(CpuTopologyTest, ThisMachine) {
  CpuTopology topology = CpuTopology::detect();
  EXPECT_GE(topology.physicalCores, 1);
  EXPECT_GE(topology.defaultThreads(), 1);
  std::vector<int> cpus = topology.cpus;
  std::sort(cpus.begin(), cpus.end());
  EXPECT_EQ(std::adjacent_find(cpus.begin(), cpus.end()), cpus.end());
  if (!cpus.empty())
    EXPECT_LE(topology.physicalCores, static_cast<int>(cpus.size()));
}
