//===- GenericTensorTest.cpp - Embedding, norm, linear, RoPE --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/generic/OpKernel.h"

#include <gtest/gtest.h>

namespace dsv2::test {
namespace {

constexpr uint32_t seed = 11;

class GenericTensor : public testing::Test {
protected:
  GenericTensor() { RecordProperty("seed", seed); }
  Random random{seed};
};

/// Room for the largest number of rows, with a guard.
std::vector<float> output(int64_t rows, int64_t width) {
  return std::vector<float>(rows * width, untouched);
}

TEST_F(GenericTensor, Embed) {
  OpKernel kernel(R"(
    func.func @f(%ids: tensor<?xi32>, %table: tensor<9x7xbf16>) -> tensor<?x7xf32> {
      %x = dsv2.embed %ids, %table : tensor<?xi32>, tensor<9x7xbf16> -> tensor<?x7xf32>
      return %x : tensor<?x7xf32>
    })");
  std::vector<uint16_t> table = toBf16(random.floats(9 * 7));
  std::vector<int32_t> ids = {8, 0, 3};
  std::vector<float> y = output(40, 7);
  kernel({ids.data(), table.data()}, {y.data()}, {.tokens = 3});
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t j = 0; j < 7; ++j)
      EXPECT_EQ(y[t * 7 + j], fromBf16(table[ids[t] * 7 + j]));
  EXPECT_EQ(y[3 * 7], untouched);
  EXPECT_EQ(kernel.workgroups({.tokens = 3}), 3);
}

TEST_F(GenericTensor, SelectRows) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x7xf32>, %batch: !dsv2.batch) -> tensor<?x7xf32> {
      %y = dsv2.select_rows %x of %batch : tensor<?x7xf32> -> tensor<?x7xf32>
      return %y : tensor<?x7xf32>
    })",
                  {.results = {{0, {Dim::logitRows}}}});
  std::vector<float> x = random.floats(40 * 7), y = output(6, 7);
  kernel({x.data()}, {y.data()}, {.tokens = 5, .logitRows = 2},
         {{BatchField::LogitRows, {4, 1}}});
  for (int64_t j = 0; j < 7; ++j) {
    EXPECT_EQ(y[j], x[4 * 7 + j]);
    EXPECT_EQ(y[7 + j], x[7 + j]);
    EXPECT_EQ(y[14 + j], untouched);
  }
}

std::vector<double> norm(const std::vector<float> &x,
                         const std::vector<uint16_t> &gamma, int64_t tokens,
                         double epsilon) {
  int64_t width = gamma.size();
  std::vector<double> y;
  for (int64_t t = 0; t < tokens; ++t) {
    double sum = 0;
    for (int64_t k = 0; k < width; ++k)
      sum += double(x[t * width + k]) * x[t * width + k];
    for (int64_t k = 0; k < width; ++k)
      y.push_back(x[t * width + k] / std::sqrt(sum / width + epsilon) *
                  fromBf16(gamma[k]));
  }
  return y;
}

TEST_F(GenericTensor, RmsNorm) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x70xf32>, %g: tensor<70xbf16>) -> tensor<?x70xf32> {
      %y = dsv2.rms_norm %x, %g eps 1.0e-2 : tensor<?x70xf32>, tensor<70xbf16> -> tensor<?x70xf32>
      return %y : tensor<?x70xf32>
    })");
  std::vector<float> x = random.floats(40 * 70, 0.2f), y = output(40, 70);
  std::vector<uint16_t> gamma = toBf16(random.floats(70));
  kernel({x.data(), gamma.data()}, {y.data()}, {.tokens = 40});
  expectNear(y, norm(x, gamma, 40, 1e-2), 1e-6);
}

// Rows of bf16 are padded with zeros to whole groups.
TEST_F(GenericTensor, RmsNormToPaddedRows) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x70xf32>, %g: tensor<70xbf16>) -> tensor<?x70xbf16, #dsv2.rows<32>> {
      %y = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x70xf32>, tensor<70xbf16> -> tensor<?x70xbf16, #dsv2.rows<32>>
      return %y : tensor<?x70xbf16, #dsv2.rows<32>>
    })",
                  {}, /*rowPadding=*/26);
  std::vector<float> x = random.floats(5 * 70);
  std::vector<uint16_t> gamma = toBf16(random.floats(70)), y(40 * 96, 0x4141);
  kernel({x.data(), gamma.data()}, {y.data()}, {.tokens = 5});
  std::vector<double> expected = norm(x, gamma, 5, 1e-6);
  for (int64_t t = 0; t < 5; ++t)
    for (int64_t k = 0; k < 96; ++k)
      if (k < 70)
        EXPECT_NEAR(fromBf16(y[t * 96 + k]), expected[t * 70 + k],
                    std::abs(expected[t * 70 + k]) / 250);
      else
        EXPECT_EQ(y[t * 96 + k], 0);
  EXPECT_EQ(y[5 * 96], 0x4141);
}

TEST_F(GenericTensor, Linear) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x67xf32>, %w: tensor<13x67xbf16>) -> tensor<?x13xf32> {
      %y = dsv2.linear %x, %w : tensor<?x67xf32>, tensor<13x67xbf16> -> tensor<?x13xf32>
      return %y : tensor<?x13xf32>
    })");
  std::vector<float> x = random.floats(40 * 67), y = output(40, 13);
  std::vector<uint16_t> w = toBf16(random.floats(13 * 67));
  kernel({x.data(), w.data()}, {y.data()}, {.tokens = 7});
  std::vector<double> expected;
  for (int64_t t = 0; t < 7; ++t)
    for (int64_t n = 0; n < 13; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < 67; ++k)
        sum += double(x[t * 67 + k]) * fromBf16(w[n * 67 + k]);
      expected.push_back(sum);
    }
  expectNear(y, expected, 1e-5);
  EXPECT_EQ(y[7 * 13], untouched);

  // A row has the same bits alone.
  std::vector<float> alone = output(40, 13);
  kernel({x.data() + 4 * 67, w.data()}, {alone.data()}, {.tokens = 1});
  for (int64_t n = 0; n < 13; ++n)
    EXPECT_EQ(alone[n], y[4 * 13 + n]);
}

// Rows of the context, all heads from one latent, rounded once.
TEST_F(GenericTensor, HeadProjectShared) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x16xf32>, %w: tensor<3x5x16xf32>) -> tensor<?x3x5xbf16> {
      %y = dsv2.head_project %x, %w : tensor<?x16xf32>, tensor<3x5x16xf32> -> tensor<?x3x5xbf16>
      return %y : tensor<?x3x5xbf16>
    })",
                  {{{0, {Dim::context}}}, {{0, {Dim::context}}}});
  std::vector<float> x = random.floats(130 * 16), w = random.floats(3 * 5 * 16);
  std::vector<uint16_t> y(130 * 15);
  kernel({x.data(), w.data()}, {y.data()}, {.tokens = 1, .context = 130});
  for (int64_t s = 0; s < 130; ++s)
    for (int64_t i = 0; i < 15; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < 16; ++k)
        sum += double(x[s * 16 + k]) * w[i * 16 + k];
      EXPECT_NEAR(fromBf16(y[s * 15 + i]), sum, std::abs(sum) / 250 + 1e-6);
    }
}

TEST_F(GenericTensor, HeadProjectOfHeads) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x3x16xf32>, %w: tensor<3x5x16xf32>) -> tensor<?x3x5xf32> {
      %y = dsv2.head_project %x, %w : tensor<?x3x16xf32>, tensor<3x5x16xf32> -> tensor<?x3x5xf32>
      return %y : tensor<?x3x5xf32>
    })");
  std::vector<float> x = random.floats(4 * 48), w = random.floats(240);
  std::vector<float> y = output(40, 15);
  kernel({x.data(), w.data()}, {y.data()}, {.tokens = 4});
  std::vector<double> expected;
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t h = 0; h < 3; ++h)
      for (int64_t n = 0; n < 5; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < 16; ++k)
          sum += double(x[(t * 3 + h) * 16 + k]) * w[(h * 5 + n) * 16 + k];
        expected.push_back(sum);
      }
  expectNear(y, expected, 1e-5);
}

// The last positions of the longest contexts need angles in double precision.
TEST_F(GenericTensor, Rope) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x3x8xf32>, %batch: !dsv2.batch) -> tensor<?x3x8xf32> {
      %y = dsv2.rope %x by <theta = 1.0e4, yarn = <factor = 40.0, original = 4096, beta_fast = 32.0,
        beta_slow = 1.0, mscale = 1.0, mscale_all_dim = 0.707>> at %batch : tensor<?x3x8xf32> -> tensor<?x3x8xf32>
      return %y : tensor<?x3x8xf32>
    })");
  mlir::MLIRContext context;
  context.loadDialect<mlir::dsv2::DSV2Dialect>();
  using llvm::APFloat;
  auto yarn = mlir::dsv2::YarnAttr::get(&context, APFloat(40.0), 4096,
                                        APFloat(32.0), APFloat(1.0),
                                        APFloat(1.0), APFloat(0.707), true);
  auto rope = mlir::dsv2::RopeAttr::get(&context, APFloat(1e4), yarn);
  auto frequencies = rope.getInverseFrequencies(8);

  std::vector<int32_t> positions = {0, 1, 4095, 163839, 17};
  std::vector<float> x = random.floats(5 * 24), y = output(40, 24);
  kernel({x.data(), nullptr}, {y.data()}, {.tokens = 5},
         {{BatchField::Positions, positions}});
  std::vector<double> expected;
  for (int64_t t = 0; t < 5; ++t)
    for (int64_t h = 0; h < 3; ++h)
      for (int64_t i = 0; i < 4; ++i) {
        const float *pair = &x[(t * 3 + h) * 8 + 2 * i];
        double angle = positions[t] * frequencies[i];
        double cosine = std::cos(angle) * rope.getMagnitude();
        double sine = std::sin(angle) * rope.getMagnitude();
        expected.push_back(pair[0] * cosine - pair[1] * sine);
        expected.push_back(pair[1] * cosine + pair[0] * sine);
      }
  expectNear(y, expected, 3e-7);
}

TEST_F(GenericTensor, Swiglu) {
  OpKernel kernel(R"(
    func.func @f(%g: tensor<?x33xf32>, %u: tensor<?x33xf32>) -> tensor<?x33xf32> {
      %y = dsv2.swiglu %g, %u : tensor<?x33xf32> -> tensor<?x33xf32>
      return %y : tensor<?x33xf32>
    })");
  std::vector<float> g = random.floats(2 * 33, 90), u = random.floats(2 * 33);
  std::vector<float> y = output(40, 33);
  kernel({g.data(), u.data()}, {y.data()}, {.tokens = 2});
  std::vector<double> expected;
  for (size_t i = 0; i < g.size(); ++i)
    expected.push_back(g[i] / (1 + std::exp(-double(g[i]))) * u[i]);
  expectNear(y, expected, 2e-6);
}

TEST_F(GenericTensor, PackRows) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x5xf32>) -> tensor<?x5xbf16, #dsv2.rows<32>> {
      %y = dsv2.pack_rows %x : tensor<?x5xf32> -> tensor<?x5xbf16, #dsv2.rows<32>>
      return %y : tensor<?x5xbf16, #dsv2.rows<32>>
    })",
                  {}, /*rowPadding=*/27);
  std::vector<float> x = random.floats(3 * 5);
  std::vector<uint16_t> y(40 * 32, 1);
  kernel({x.data()}, {y.data()}, {.tokens = 3});
  for (int64_t i = 0; i < 3 * 32; ++i)
    EXPECT_EQ(y[i], i % 32 < 5 ? toBf16(x[i / 32 * 5 + i % 32]) : 0);
}

TEST_F(GenericTensor, Addition) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x9xf32>, %y: tensor<?x9xf32>) -> tensor<?x9xf32> {
      %z = arith.addf %x, %y : tensor<?x9xf32>
      return %z : tensor<?x9xf32>
    })");
  std::vector<float> x = random.floats(27), y = random.floats(27);
  std::vector<float> z = output(40, 9);
  kernel({x.data(), y.data()}, {z.data()}, {.tokens = 3});
  for (int64_t i = 0; i < 27; ++i)
    EXPECT_EQ(z[i], x[i] + y[i]);
  EXPECT_EQ(z[27], untouched);
  EXPECT_EQ(kernel.workgroups({.tokens = 3}), 3);
}

TEST_F(GenericTensor, ExtractSlice) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x9xf32>, %t: index) -> tensor<?x4xf32> {
      %y = tensor.extract_slice %x[0, 3] [%t, 4] [1, 1] : tensor<?x9xf32> to tensor<?x4xf32>
      return %y : tensor<?x4xf32>
    })");
  std::vector<float> x = random.floats(27), y = output(40, 4);
  kernel({x.data(), nullptr}, {y.data()}, {.tokens = 3});
  for (int64_t i = 0; i < 12; ++i)
    EXPECT_EQ(y[i], x[i / 4 * 9 + 3 + i % 4]);
  EXPECT_EQ(y[12], untouched);
}

TEST_F(GenericTensor, NoKernelForOpaqueFormats) {
  EXPECT_EQ(whyNoKernel(R"(
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xi8, #dsv2.rows<32>> {
      %y = dsv2.pack_rows %x : tensor<?x64xf32> -> tensor<?x64xi8, #dsv2.rows<32>>
      return %y : tensor<?x64xi8, #dsv2.rows<32>>
    })"),
            "has no reference kernel: expects f32 or bf16 rows and plain "
            "weights, found 'tensor<?x64xi8, #dsv2.rows<32>>'");
}

} // namespace
} // namespace dsv2::test
