//===- CublasLtTest.cpp - What measurements compare products with ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CublasLt.h"

#include "runtime/base/NumberFormats.h"
#include "runtime/drivers/cuda/CudaTimer.h"

#include <gtest/gtest.h>

#include <random>

using namespace dsv2;
using namespace dsv2::cuda;

namespace {

class CublasLtTest : public testing::Test {
protected:
  void SetUp() override {
    auto api = CudaApi::load(DSV2_FAKE_CUDA);
    ASSERT_TRUE(api.ok()) << api.status().message();
    auto opened = CudaDevice::open(*api, 9, 0, "sm_90a");
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    device = *opened;
  }
  DeviceBuffer upload(const std::vector<uint16_t> &values) {
    auto buffer = DeviceBuffer::allocate(device, values.size() * 2, "a test");
    EXPECT_TRUE(buffer.ok());
    device->api().memcpyHtoDAsync(buffer->address(), values.data(),
                                  values.size() * 2, device->stream());
    return *std::move(buffer);
  }
  std::shared_ptr<CudaDevice> device;
};

TEST_F(CublasLtTest, MultipliesByTheTranspose) {
  auto library = CublasLt::load(device, {"no-such.so", DSV2_FAKE_CUBLASLT});
  ASSERT_TRUE(library.ok()) << library.status().message();
  constexpr int64_t m = 3, n = 5, k = 7;
  std::mt19937 random(4);
  auto draw = [&](size_t count) {
    std::vector<uint16_t> values(count);
    for (uint16_t &value : values)
      value = floatToBf16(static_cast<float>(random() % 9) - 4);
    return values;
  };
  std::vector<uint16_t> x = draw(m * k), w = draw(n * k), y(m * n);
  DeviceBuffer onX = upload(x), onW = upload(w), onY = upload(y);
  auto product = CublasLtProduct::create(*library, {m, n, k});
  ASSERT_TRUE(product.ok()) << product.status().message();
  EXPECT_EQ(product->algorithmCount(), 2u);
  auto timer = CudaTimer::create(device);
  ASSERT_TRUE(timer.ok());
  auto seconds = timer->time([&] {
    return product->run(1, onX.address(), onW.address(), onY.address());
  });
  ASSERT_TRUE(seconds.ok()) << seconds.status().message();
  EXPECT_GT(*seconds, 0);
  device->api().memcpyDtoHAsync(y.data(), onY.address(), y.size() * 2,
                                device->stream());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t d = 0; d < k; ++d)
        sum += bf16ToFloat(x[i * k + d]) * bf16ToFloat(w[j * k + d]);
      EXPECT_EQ(bf16ToFloat(y[i * n + j]), sum) << i << ", " << j;
    }
}

TEST_F(CublasLtTest, SaysWhatIsMissing) {
  auto absent = CublasLt::load(device, {"libno-such.so.13", "other.so"});
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.status().message(),
            "no cuBLASLt here (libno-such.so.13 cannot be loaded), so the rate "
            "of matrix products is not measured; name its folder in "
            "LD_LIBRARY_PATH");
  auto another = CublasLt::load(device, {"libm.so.6"});
  ASSERT_FALSE(another.ok());
  EXPECT_EQ(another.status().message(),
            "cuBLASLt is too old: expected one with cublasLtCreate");
}

} // namespace
