//===- Hopper.cpp - What only sm_90a has ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Hopper.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace mlir::dsv2::nvptx {

// ---- Addresses -------------------------------------------------------------

Value HopperBuilder::sharedAddress(Value pointer) {
  return LLVM::PtrToIntOp::create(*this, getI32Type(), pointer);
}

Value HopperBuilder::sharedPointerAt(Value address) {
  return LLVM::IntToPtrOp::create(*this, sharedPointer(), address);
}

// ---- Roles -----------------------------------------------------------------

Value HopperBuilder::warpgroup() {
  return shuffleFrom(shiftRight(thread(), 7), i32(0));
}

Value HopperBuilder::warpgroupThread() { return bitAnd(thread(), 127); }

Value HopperBuilder::elect() {
  Value elected = ptx("{ .reg .pred p; elect.sync _|p, 0xffffffff; "
                      "selp.b32 $0, 1, 0, p; }",
                      "=r", getI32Type(), {})[0];
  return notEqual(elected, 0);
}

void HopperBuilder::raiseRegisters(int64_t count) {
  ptx("setmaxnreg.inc.sync.aligned.u32 " + std::to_string(count) + ";", "", {},
      {});
}

void HopperBuilder::lowerRegisters(int64_t count) {
  ptx("setmaxnreg.dec.sync.aligned.u32 " + std::to_string(count) + ";", "", {},
      {});
}

Value HopperBuilder::gridBlocks() {
  return NVVM::GridDimXOp::create(*this, getI32Type());
}

// ---- Clusters --------------------------------------------------------------

Value HopperBuilder::clusterRank() {
  return ptx("mov.u32 $0, %cluster_ctarank;", "=r", getI32Type(), {},
             /*hasSideEffects=*/false)[0];
}

void HopperBuilder::clusterSync() {
  // Not .aligned: a warp may come here with its lanes apart.
  ptx("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;", "", {},
      {});
}

// ---- Barriers in shared memory ---------------------------------------------

void HopperBuilder::initBarrier(Value barrier, int64_t count) {
  ptx("mbarrier.init.shared::cta.b64 [$0], $1;", "r,r", {},
      {barrier, i32(count)});
}

void HopperBuilder::fenceBarrierInit() {
  ptx("fence.mbarrier_init.release.cluster;", "", {}, {});
}

void HopperBuilder::arrive(Value barrier) {
  ptx("mbarrier.arrive.release.cta.shared::cta.b64 _, [$0];", "r", {}, barrier);
}

void HopperBuilder::arriveAt(Value barrier, Value rank) {
  ptx("{ .reg .b32 remote; mapa.shared::cluster.u32 remote, $0, $1; "
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote]; }",
      "r,r", {}, {barrier, rank});
}

void HopperBuilder::arriveExpecting(Value barrier, Value bytes) {
  ptx("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [$0], $1;",
      "r,r", {}, {barrier, bytes});
}

void HopperBuilder::waitParity(Value barrier, Value parity, bool fromCluster) {
  ptx(std::string("{ .reg .pred p; again: mbarrier.try_wait.parity.acquire.") +
          (fromCluster ? "cluster" : "cta") +
          ".shared::cta.b64 p, [$0], $1; @!p bra again; }",
      "r,r", {}, {barrier, parity});
}

// ---- Bulk copies -----------------------------------------------------------

/// What createpolicy.fractional gives for all of the data of a copy.
static int64_t cachePolicy(CacheHint hint) {
  return hint == CacheHint::evictFirst ? 0x12F0000000000000
                                       : 0x14F0000000000000;
}

void HopperBuilder::loadTile(Value to, Value map, ValueRange coordinates,
                             Value barrier, CacheHint hint, uint16_t blocks) {
  std::string text = "cp.async.bulk.tensor." +
                     std::to_string(coordinates.size()) +
                     "d.shared::cluster.global.mbarrier::complete_tx::bytes";
  std::string constraints = "r,l,r";
  SmallVector<Value> operands = {to, map, barrier};
  std::string place = "[$1, {";
  for (auto [index, coordinate] : llvm::enumerate(coordinates)) {
    place += (index ? ", $" : "$") + std::to_string(operands.size());
    operands.push_back(coordinate);
    constraints += ",r";
  }
  std::string tail;
  if (blocks) {
    text += ".multicast::cluster";
    tail += ", $" + std::to_string(operands.size());
    operands.push_back(
        arith::ConstantOp::create(*this, getI16IntegerAttr(blocks)));
    constraints += ",h";
  }
  if (hint != CacheHint::normal) {
    text += ".L2::cache_hint";
    tail += ", $" + std::to_string(operands.size());
    operands.push_back(i64(cachePolicy(hint)));
    constraints += ",l";
  }
  ptx(text + " [$0], " + place + "}], [$2]" + tail + ";", constraints, {},
      operands);
}

void HopperBuilder::loadBytes(Value to, Value from, Value bytes, Value barrier,
                              CacheHint hint) {
  std::string text = "cp.async.bulk.shared::cluster.global"
                     ".mbarrier::complete_tx::bytes";
  SmallVector<Value> operands = {to, from, bytes, barrier};
  if (hint == CacheHint::normal)
    return (void)ptx(text + " [$0], [$1], $2, [$3];", "r,l,r,r", {}, operands);
  operands.push_back(i64(cachePolicy(hint)));
  ptx(text + ".L2::cache_hint [$0], [$1], $2, [$3], $4;", "r,l,r,r,l", {},
      operands);
}

void HopperBuilder::storeTile(Value map, ValueRange coordinates, Value from) {
  std::string constraints = "l,r";
  SmallVector<Value> operands = {map, from};
  std::string place = "[$0, {";
  for (auto [index, coordinate] : llvm::enumerate(coordinates)) {
    place += (index ? ", $" : "$") + std::to_string(operands.size());
    operands.push_back(coordinate);
    constraints += ",r";
  }
  ptx("cp.async.bulk.tensor." + std::to_string(coordinates.size()) +
          "d.global.shared::cta.bulk_group " + place + "}], [$1];",
      constraints, {}, operands);
}

void HopperBuilder::commitStores() {
  ptx("cp.async.bulk.commit_group;", "", {}, {});
}

void HopperBuilder::waitStoresRead(int64_t pending) {
  ptx("cp.async.bulk.wait_group.read " + std::to_string(pending) + ";", "", {},
      {});
}

void HopperBuilder::waitStores(int64_t pending) {
  ptx("cp.async.bulk.wait_group " + std::to_string(pending) + ";", "", {}, {});
}

void HopperBuilder::prefetchMap(Value map) {
  ptx("prefetch.tensormap [$0];", "l", {}, map);
}

void HopperBuilder::prefetchBytes(Value from, Value bytes) {
  ptx("cp.async.bulk.prefetch.L2.global [$0], $1;", "l,r", {}, {from, bytes});
}

void HopperBuilder::fenceAsync() {
  ptx("fence.proxy.async.shared::cta;", "", {}, {});
}

// ---- Rings -----------------------------------------------------------------

Ring::Ring(HopperBuilder &builder, int64_t stages) : stages(stages) {
  full = builder.sharedAddress(builder.shared(8 * stages, 8));
  empty = builder.sharedAddress(builder.shared(8 * stages, 8));
}

void Ring::init(HopperBuilder &builder, int64_t fullCount, int64_t emptyCount) {
  for (int64_t stage = 0; stage < stages; ++stage) {
    builder.initBarrier(builder.add(full, 8 * stage), fullCount);
    builder.initBarrier(builder.add(empty, 8 * stage), emptyCount);
  }
}

Value Ring::fullAt(HopperBuilder &builder, Value stage) const {
  return builder.add(full, builder.mul(stage, 8));
}

Value Ring::emptyAt(HopperBuilder &builder, Value stage) const {
  return builder.add(empty, builder.mul(stage, 8));
}

RingState RingState::begin(HopperBuilder &builder) {
  return {builder.i32(0), builder.i32(0)};
}

RingState RingState::next(HopperBuilder &builder, int64_t stages) const {
  Value following = builder.add(stage, 1);
  Value wraps = builder.equal(following, stages);
  return {builder.select(wraps, builder.i32(0), following),
          builder.select(wraps, builder.bitXor(phase, 1), phase)};
}

} // namespace mlir::dsv2::nvptx
