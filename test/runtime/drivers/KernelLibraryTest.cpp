//===- KernelLibraryTest.cpp - Choosing and loading kernels ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/KernelLibrary.h"
#include "runtime/drivers/cpu/CpuFeatures.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;
using schema::CpuFeature;

namespace {

class KernelLibraryTest : public testing::Test {
protected:
  const schema::Artifact &build() {
    builder.Clear();
    builder.Finish(schema::Artifact::Pack(builder, &artifact));
    return *schema::GetArtifact(builder.GetBufferPointer());
  }
  void addLibrary(const char *name, uint64_t features) {
    auto library = std::make_unique<schema::KernelLibraryT>();
    library->name = name;
    library->features = features;
    library->object = artifact.libraries[0]->object;
    artifact.libraries.insert(artifact.libraries.begin(), std::move(library));
  }
  static uint64_t bits(std::initializer_list<CpuFeature> features) {
    uint64_t bits = 0;
    for (CpuFeature feature : features)
      bits |= static_cast<uint64_t>(feature);
    return bits;
  }

  schema::ArtifactT artifact = toyMetadata();
  flatbuffers::FlatBufferBuilder builder;
};

} // namespace

TEST_F(KernelLibraryTest, ChoosesTheFirstThatFits) {
  addLibrary("avx2", bits({CpuFeature::avx2}));
  addLibrary("avx512", bits({CpuFeature::avx2, CpuFeature::avx512f}));
  const schema::Artifact &built = build();
  EXPECT_EQ(*KernelLibrary::choose(built, 0), 2u);
  EXPECT_EQ(*KernelLibrary::choose(built, bits({CpuFeature::avx2})), 1u);
  EXPECT_EQ(
      *KernelLibrary::choose(built, bits({CpuFeature::avx2, CpuFeature::avx512f,
                                          CpuFeature::bmi2})),
      0u);
  EXPECT_EQ(*KernelLibrary::choose(built, ~uint64_t(0), "avx2"), 1u);
}

TEST_F(KernelLibraryTest, NamesWhatTheCpuLacks) {
  artifact.libraries[0]->name = "avx512";
  artifact.libraries[0]->features =
      bits({CpuFeature::avx2, CpuFeature::fma, CpuFeature::avx512f});
  addLibrary("amx", bits({CpuFeature::avx2, CpuFeature::fma,
                          CpuFeature::avx512f, CpuFeature::amx_tile}) |
                        (uint64_t(1) << 40));
  Status status =
      KernelLibrary::choose(build(), bits({CpuFeature::avx2})).status();
  EXPECT_EQ(status.code(), StatusCode::incompatible);
  EXPECT_NE(status.message().find("lacks fma, avx512f, needed by the kernel "
                                  "library 'avx512' (the artifact has: amx, "
                                  "avx512)"),
            std::string::npos)
      << status.message();
}

TEST_F(KernelLibraryTest, UnknownName) {
  Status status = KernelLibrary::choose(build(), 0, "sse9").status();
  EXPECT_EQ(status.code(), StatusCode::notFound);
  EXPECT_NE(status.message().find("'sse9', expected one of: reference"),
            std::string::npos);
}

TEST_F(KernelLibraryTest, LoadsSeveralAtOnceAndApart) {
  const schema::Artifact &built = build();
  Result<KernelLibrary> first = KernelLibrary::load(built, 0);
  ASSERT_TRUE(first.ok()) << first.status().message();
  Result<KernelLibrary> second = KernelLibrary::load(built, 0);
  ASSERT_TRUE(second.ok()) << second.status().message();
  ASSERT_EQ(first->kernels().size(), artifact.kernels.size());
  // Two loads are two libraries, even of the same object.
  EXPECT_NE(first->kernels()[0], second->kernels()[0]);
  KernelLibrary moved = *std::move(first);
  int32_t counts[3] = {};
  void *bindings[] = {counts};
  int64_t dims[] = {0, 0, 0, 0};
  moved.kernels()[static_cast<size_t>(ToyKernel::count)](bindings, dims, 2);
  EXPECT_EQ(counts[2], 1);
}

TEST_F(KernelLibraryTest, RefusesWhatIsNotALibrary) {
  artifact.libraries[0]->object.resize(200);
  EXPECT_FALSE(KernelLibrary::load(build(), 0).ok());
  artifact.libraries[0]->object.assign(5000, 'x');
  Status status = KernelLibrary::load(build(), 0).status();
  EXPECT_EQ(status.code(), StatusCode::incompatible);
  EXPECT_NE(status.message().find("not a shared object"), std::string::npos);
}

TEST_F(KernelLibraryTest, NamesTheMissingKernel) {
  artifact.kernels[3]->symbol = "toy_absent";
  Status status = KernelLibrary::load(build(), 0).status();
  EXPECT_EQ(status.code(), StatusCode::dataLoss);
  EXPECT_NE(status.message().find("'toy_absent'"), std::string::npos);
}
