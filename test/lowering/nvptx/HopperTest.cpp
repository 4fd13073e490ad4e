//===- HopperTest.cpp - What only sm_90a has ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Hopper.h"
#include "test/lowering/nvptx/AssembledKernel.h"

#include <gtest/gtest.h>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

TEST(HopperTest, CopiesAndBarriers) {
  AssembledKernel kernel([](ModuleOp module) {
    TensorMap map;
    map.sizes = {64, 4, 512};
    map.strides = {128, 512};
    map.box = {64, 1, 64};
    Launch launch;
    launch.cluster = 2;
    HopperBuilder b(module, "copies", 1, launch, map);
    Value tile = b.sharedAddress(b.shared(8192, 1024));
    Ring ring(b, 3);
    b.ifThen(b.equal(b.thread(), 0), [&] {
      ring.init(b, 1, 2);
      b.fenceBarrierInit();
      b.prefetchMap(b.tensorMap(0));
    });
    b.clusterSync();
    RingState state = RingState::begin(b).next(b, 3);
    b.ifThen(b.both(b.equal(b.warp(), 0), b.elect()), [&] {
      Value full = ring.fullAt(b, state.stage);
      b.waitParity(ring.emptyAt(b, state.stage), b.bitXor(state.phase, 1));
      b.arriveExpecting(full, 8192 + 256);
      Value at[3] = {b.i32(0), b.clusterRank(), b.i32(64)};
      b.loadTile(tile, b.tensorMap(0), at, full, CacheHint::evictFirst, 3);
      b.loadTile(tile, b.tensorMap(0), at, full);
      b.loadBytes(tile, b.binding(0), b.i32(256), full, CacheHint::evictLast);
      b.prefetchBytes(b.binding(0), b.i32(1024));
    });
    b.waitParity(ring.fullAt(b, state.stage), state.phase);
    b.arriveAt(ring.emptyAt(b, state.stage), b.i32(1));
    b.fenceAsync();
    b.ifThen(b.equal(b.thread(), 0), [&] {
      b.storeTile(b.tensorMap(0), {b.i32(0), b.i32(0), b.i32(0)}, tile);
      b.commitStores();
      b.waitStoresRead(1);
      b.waitStores(0);
    });
    b.clusterSync();
    return b.finish();
  });
  kernel.expectPtx(
      {"mbarrier.init.shared::cta.b64", "fence.mbarrier_init",
       "prefetch.tensormap", "barrier.cluster.arrive", "mbarrier.try_wait",
       "mbarrier.arrive.expect_tx",
       "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::"
       "bytes.multicast::cluster.L2::cache_hint",
       "cp.async.bulk.shared::cluster.global", "cp.async.bulk.prefetch.L2",
       "mapa.shared::cluster.u32", "fence.proxy.async",
       "cp.async.bulk.tensor.3d.global.shared::cta", "wait_group.read 1",
       "wait_group 0"});
  kernel.expectClean({{"UTMALDG", 2}, {"UTMASTG", 1}});
  // The map stays in the parameters.
  EXPECT_EQ(kernel.ptx().find(".local"), std::string::npos);
}

TEST(HopperTest, Products) {
  AssembledKernel kernel([](ModuleOp module) {
    HopperBuilder b(module, "products", 1, {});
    Value tiles = b.sharedAddress(b.shared(32768, 1024));
    Value a = b.descriptor(tiles);
    Value v = b.descriptor(b.add(tiles, 16384), mnMajorDescriptor(8192));
    HopperBuilder::ProductOptions options;
    SmallVector<Value> sums = b.undefinedSums(64);
    options.accumulate = b.i32(0);
    b.fenceProducts();
    sums = b.product(sums, a, a, options);
    options.accumulate = {};
    options.element = MatrixElement::e4m3;
    sums = b.product(sums, b.add(a, 2), b.add(a, 2), options);
    options.element = MatrixElement::bf16;
    options.transposedB = true;
    SmallVector<Value> registers(4, b.thread());
    b.fenceProducts();
    sums = b.productFromRegisters(sums, registers, v, options);
    b.commitProducts();
    sums = b.waitProducts(0, sums);
    SmallVector<Value> four(sums.begin(), sums.begin() + 4);
    four = b.warpProduct(four, registers, ArrayRef(registers).take_front(2),
                         MatrixElement::bf16);
    SmallVector<Value> integers(4, b.thread());
    integers =
        b.warpProduct(integers, registers, ArrayRef(registers).take_front(2),
                      MatrixElement::s8);
    b.storeMatrices(b.add(tiles, b.mul(b.lane(), 16)), integers);
    integers = b.loadMatrices(b.add(tiles, b.mul(b.lane(), 16)), true);
    for (int i = 0; i < 64; ++i)
      b.store(i < 4 ? four[i] : sums[i],
              b.offset(b.binding(0), b.add(b.mul(b.thread(), 256), 4 * i)));
    b.store(integers[2], b.binding(0));
    return b.finish();
  });
  kernel.expectPtx({"wgmma.fence", "m64n128k16.f32.bf16.bf16",
                    "m64n128k32.f32.e4m3.e4m3", "m64n128k16.f32.bf16.bf16",
                    "wgmma.commit_group", "wgmma.wait_group.sync.aligned 0",
                    "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32",
                    "stmatrix.sync.aligned.m8n8.x4.shared.b16",
                    "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"});
  kernel.expectClean({{"HGMMA", 2}, {"QGMMA", 1}, {"STSM", 1}, {"LDSM", 1}});
}

} // namespace
