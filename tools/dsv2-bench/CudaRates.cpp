//===- CudaRates.cpp - What a GPU reaches at copies and products ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/CudaRates.h"

#include "runtime/base/NumberFormats.h"
#include "tools/dsv2-bench/Roofline.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace dsv2::cuda {

/// Buffers are this part of the device's memory, within bounds.
static constexpr uint64_t memoryShare = 512;
static constexpr uint64_t largestBuffer = uint64_t(256) << 20;
static constexpr uint64_t smallestBuffer = uint64_t(1) << 20;

/// Bursts of a few milliseconds, of copies and of products; their median
/// counts.
static constexpr int copyBursts = 5, copiesPerBurst = 16;
static constexpr int productBursts = 3, productsPerBurst = 4;

Status fillRandomly(CudaDevice &device, DevicePointer address, uint64_t bytes,
                    bool eight) {
  const CudaApi &cu = device.api();
  std::vector<uint16_t> piece(
      std::min<uint64_t>((bytes + 1) / 2, uint64_t(1) << 21));
  std::mt19937 random(1);
  for (uint16_t &bits : piece) {
    uint32_t drawn = random();
    if (eight) // Exponents 1 to 6 of 7 as bias, both signs.
      bits = static_cast<uint16_t>((drawn & 0xb7b7) | 0x0808);
    else
      bits = floatToBf16(static_cast<float>(drawn) * 0x1p-31f - 1);
  }
  uint64_t done = std::min<uint64_t>(piece.size() * 2, bytes);
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.memcpyHtoDAsync(address, piece.data(), done, device.stream()),
               "cuMemcpyHtoDAsync", "random numbers"));
  for (uint64_t count; done < bytes; done += count) {
    count = std::min(done, bytes - done);
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.memcpyDtoDAsync(address + done, address, count, device.stream()),
        "cuMemcpyDtoDAsync", "random numbers"));
  }
  return device.synchronize("copying random numbers");
}

dsv2::Result<double> timeInRow(CudaTimer &timer, int64_t count,
                               const std::function<Status()> &submit) {
  DSV2_RETURN_IF_ERROR(submit());
  dsv2::Result<double> seconds = timer.time([&] {
    for (int64_t i = 0; i < count; ++i)
      DSV2_RETURN_IF_ERROR(submit());
    return Status();
  });
  if (!seconds.ok())
    return seconds.status();
  return *seconds / static_cast<double>(count);
}

dsv2::Result<size_t> fastestAlgorithm(CudaTimer &timer,
                                      const CublasLtProduct &product,
                                      DevicePointer x, DevicePointer w,
                                      DevicePointer y) {
  size_t best = 0;
  double least = INFINITY;
  Status failure;
  for (size_t i = 0; i < product.algorithmCount(); ++i) {
    // Before the first that counts, one loads code.
    double taken = INFINITY;
    for (int run = 0; run < 3; ++run) {
      dsv2::Result<double> seconds =
          timeInRow(timer, 1, [&] { return product.run(i, x, w, y); });
      if (!seconds.ok()) {
        failure = seconds.status();
        break;
      }
      taken = std::min(taken, *seconds);
    }
    if (taken < least) {
      least = taken;
      best = i;
    }
  }
  if (std::isinf(least))
    return failure;
  return best;
}

dsv2::Result<std::unique_ptr<CudaRates>>
CudaRates::create(std::shared_ptr<CudaDevice> device) {
  DSV2_RETURN_IF_ERROR(device->activate());
  std::unique_ptr<CudaRates> rates(new CudaRates(std::move(device)));
  DSV2_RETURN_IF_ERROR(rates->allocate());
  rates->missing = rates->prepareProduct();
  if (!rates->missing.ok())
    rates->product.reset();
  return rates;
}

Status CudaRates::allocate() {
  size_t free = 0, total = 0;
  DSV2_RETURN_IF_ERROR(device->api().check(
      device->api().memGetInfo(&free, &total), "cuMemGetInfo"));
  uint64_t bytes = std::bit_floor(
      std::clamp(total / memoryShare, smallestBuffer, largestBuffer));
  for (DeviceBuffer *buffer : {&from, &to}) {
    dsv2::Result<DeviceBuffer> made =
        DeviceBuffer::allocate(device, bytes, "measuring copies");
    if (!made.ok())
      return made.status();
    *buffer = *std::move(made);
  }
  dsv2::Result<CudaTimer> made = CudaTimer::create(device);
  if (!made.ok())
    return made.status();
  timer.emplace(*std::move(made));
  return fillRandomly(*device, from.address(), from.size());
}

/// x and w lie in the first buffer, y in the second.
Status CudaRates::prepareProduct() {
  dsv2::Result<std::shared_ptr<const CublasLt>> loaded = CublasLt::load(device);
  if (!loaded.ok())
    return loaded.status();
  cublas = *std::move(loaded);
  side = static_cast<int64_t>(std::bit_floor(
      static_cast<uint64_t>(std::sqrt(double(from.size()) / 4))));
  dsv2::Result<CublasLtProduct> made =
      CublasLtProduct::create(cublas, {side, side, side});
  if (!made.ok())
    return made.status();
  product.emplace(*std::move(made));
  dsv2::Result<size_t> best =
      fastestAlgorithm(*timer, *product, from.address(),
                       from.address() + from.size() / 2, to.address());
  if (!best.ok())
    return best.status();
  algorithm = *best;
  return Status();
}

dsv2::Result<double> CudaRates::copyRate() {
  DSV2_RETURN_IF_ERROR(device->activate());
  const CudaApi &cu = device->api();
  std::vector<double> rates;
  for (int burst = 0; burst < copyBursts; ++burst) {
    dsv2::Result<double> seconds = timeInRow(*timer, copiesPerBurst, [&] {
      return cu.check(cu.memcpyDtoDAsync(to.address(), from.address(),
                                         from.size(), device->stream()),
                      "cuMemcpyDtoDAsync", "measuring copies");
    });
    if (!seconds.ok())
      return seconds.status();
    rates.push_back(2.0 * double(from.size()) / *seconds);
  }
  return medianOf(rates);
}

dsv2::Result<double> CudaRates::matmulRate() {
  if (!product)
    return 0.0;
  DSV2_RETURN_IF_ERROR(device->activate());
  std::vector<double> rates;
  for (int burst = 0; burst < productBursts; ++burst) {
    dsv2::Result<double> seconds = timeInRow(*timer, productsPerBurst, [&] {
      return product->run(algorithm, from.address(),
                          from.address() + from.size() / 2, to.address());
    });
    if (!seconds.ok())
      return seconds.status();
    rates.push_back(2 * std::pow(double(side), 3) / *seconds);
  }
  return medianOf(rates);
}

} // namespace dsv2::cuda
