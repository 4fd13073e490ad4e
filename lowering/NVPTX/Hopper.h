//===- Hopper.h - What only sm_90a has --------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Asynchronous copies, barriers in shared memory and warpgroup matrix products,
// one method an instruction. Shared memory is addressed by i32 (sharedAddress).
// Everything with an effect is inline PTX, which LLVM keeps in order; ordinary
// loads and stores are not moved across it either.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_HOPPER_H
#define DSV2_LOWERING_NVPTX_HOPPER_H

#include "lowering/NVPTX/HopperLayout.h"
#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// Element type of the operands of a matrix product; sums are f32, or i32 for
/// s8.
enum class MatrixElement : uint8_t { bf16, f16, e4m3, s8 };

/// How long L2 keeps what a copy reads.
enum class CacheHint : uint8_t { normal, evictFirst, evictLast };

class HopperBuilder : public KernelBuilder {
public:
  using KernelBuilder::KernelBuilder;

  // ---- Addresses -----------------------------------------------------------
  /// A pointer of shared() as i32.
  Value sharedAddress(Value pointer);
  /// And back, for load() and store().
  Value sharedPointerAt(Value address);

  // ---- Roles ---------------------------------------------------------------
  /// The number of the warpgroup, known to be the same in all its lanes.
  Value warpgroup();
  /// The thread within its warpgroup.
  Value warpgroupThread();
  /// True in one lane of the warp. All lanes must be here.
  Value elect();
  /// Registers a thread of this warpgroup may use from here on (24 to 240, a
  /// multiple of 8). All warps of the warpgroup must be here.
  void raiseRegisters(int64_t count);
  void lowerRegisters(int64_t count);
  /// Blocks of the launch.
  Value gridBlocks();

  // ---- Clusters ------------------------------------------------------------
  Value clusterRank(); ///< of this block in its cluster
  /// All threads of all blocks of the cluster; orders their shared memory.
  void clusterSync();

  // ---- Barriers in shared memory -------------------------------------------
  // A barrier completes a phase when `count` arrivals have come and all bytes
  // that were announced have been written. waitParity(p) returns when the phase
  // of parity p has completed: with p = 0 the first one, and with p = 1 at once
  // on a fresh barrier.
  void initBarrier(Value barrier, int64_t count);
  /// After the inits, before others (threads, copies, blocks) may use them. A
  /// barrier() or clusterSync() must follow.
  void fenceBarrierInit();
  void arrive(Value barrier);
  /// At the barrier with the same address in another block of the cluster.
  void arriveAt(Value barrier, Value rank);
  /// Arrives and announces bytes that copies will write.
  void arriveExpecting(Value barrier, Value bytes);
  void arriveExpecting(Value barrier, int64_t bytes) {
    arriveExpecting(barrier, i32(bytes));
  }
  /// `fromCluster`: arrivals come from other blocks too. That costs what L1
  /// holds.
  void waitParity(Value barrier, Value parity, bool fromCluster = false);

  // ---- Bulk copies (one thread issues them) --------------------------------
  /// A box of a tensor map (2 or 3 coordinates, innermost first) to shared
  /// memory; its bytes count at `barrier`, those out of bounds as zeros too.
  /// With `blocks` (a bit for each rank), the same addresses of all those
  /// blocks of the cluster are written, and their barriers count.
  void loadTile(Value to, Value map, ValueRange coordinates, Value barrier,
                CacheHint hint = CacheHint::normal, uint16_t blocks = 0);
  /// Contiguous bytes (multiples of 16, aligned to 16).
  void loadBytes(Value to, Value from, Value bytes, Value barrier,
                 CacheHint hint = CacheHint::normal);
  /// A box from shared memory; parts out of bounds are not written.
  void storeTile(Value map, ValueRange coordinates, Value from);
  void commitStores();
  /// Until at most `pending` of this thread's groups of stores are not done
  /// reading shared memory, or are not visible.
  void waitStoresRead(int64_t pending);
  void waitStores(int64_t pending);
  void prefetchMap(Value map);
  /// Brings contiguous bytes into L2.
  void prefetchBytes(Value from, Value bytes);
  /// Makes this thread's writes to shared memory visible to copies and wgmma.
  void fenceAsync();

  // ---- Warpgroup matrix products -------------------------------------------
  // One step is m64 nN k16 (bf16, f16) or k32 (e4m3): N / 2 f32 a thread.
  Value descriptor(Value address, uint64_t bits = kMajorDescriptor);
  void fenceProducts(); ///< before the first product after registers changed
  void commitProducts();
  /// Until at most `pending` groups are not done. The overload hands the sums
  /// through, so that nothing that reads them is moved before the wait; use it
  /// wherever sums are read.
  void waitProducts(int64_t pending);
  SmallVector<Value> waitProducts(int64_t pending, ValueRange sums);

  struct ProductOptions {
    MatrixElement element = MatrixElement::bf16;
    /// i32: 0 ignores the sums so far. None: adds to them.
    Value accumulate = {};
    bool transposedA = false, transposedB = false; ///< MN-major (16 bits only)
  };
  /// sums + A * B of the tiles at two descriptors.
  SmallVector<Value> product(ValueRange sums, Value a, Value b,
                             const ProductOptions &options);
  /// The same with A as four i32 registers.
  SmallVector<Value> productFromRegisters(ValueRange sums, ValueRange a,
                                          Value b,
                                          const ProductOptions &options);
  /// `count` values to begin sums with that no product reads.
  SmallVector<Value> undefinedSums(int64_t count);

  // ---- Warp matrix products ------------------------------------------------
  /// m16n8k16 (bf16, f16) or m16n8k32 (s8): 4 sums, 4 and 2 i32 registers.
  SmallVector<Value> warpProduct(ValueRange sums, ValueRange a, ValueRange b,
                                 MatrixElement element);
  /// Four 8x8 matrices of 16-bit elements; the lane's row is at `address`.
  void storeMatrices(Value address, ValueRange registers,
                     bool transposed = false);
  SmallVector<Value> loadMatrices(Value address, bool transposed = false);
};

/// A ring of stages in shared memory between a producer and its consumers. The
/// invariants:
///   - full[s] completes its phase p when the p-th filling of s has arrived;
///     empty[s] when its p-th filling has been consumed by all consumers.
///   - A side walks the stages in order and flips its phase bit after the last.
///     Both sides begin with phase 0. A consumer waits for full[s] with its
///     phase; the producer for empty[s] with its phase ^ 1, which returns at
///     once in the first round.
///   - A producer is thus never more than one round ahead, and a wait for a
///     parity never meets a barrier two phases further.
struct Ring {
  Value full, empty; ///< addresses of 8 bytes for each stage
  int64_t stages = 0;

  Ring() = default;
  /// Reserves the barriers.
  Ring(HopperBuilder &builder, int64_t stages);
  /// One thread: what completes a phase of each barrier.
  void init(HopperBuilder &builder, int64_t fullCount, int64_t emptyCount);

  Value fullAt(HopperBuilder &builder, Value stage) const;
  Value emptyAt(HopperBuilder &builder, Value stage) const;
};

/// Where a side is in a ring, as two i32 that loops carry.
struct RingState {
  Value stage, phase;

  static RingState begin(HopperBuilder &builder);
  static RingState of(ValueRange values) { return {values[0], values[1]}; }
  void appendTo(SmallVectorImpl<Value> &values) const {
    values.append({stage, phase});
  }
  RingState next(HopperBuilder &builder, int64_t stages) const;
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_HOPPER_H
