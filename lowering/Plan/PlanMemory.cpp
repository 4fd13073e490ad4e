//===- PlanMemory.cpp - Places of buffers in the arena --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/Passes.h"

#include "mlir/IR/Builders.h"

namespace mlir::dsv2::plan {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "lowering/Plan/Passes.h.inc"
} // namespace mlir::dsv2::plan

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::plan;

int64_t plan::arenaBytes(ProgramOp program) {
  int64_t bytes = 0;
  for (auto buffer : program.getOps<BufferOp>())
    bytes = std::max<int64_t>(bytes, buffer.getOffset().value_or(0) +
                                         buffer.getBytes());
  return llvm::alignTo(bytes, bufferAlignment);
}

namespace {

/// A buffer and the barrier intervals it lives in.
struct Life {
  BufferOp buffer;
  int64_t first = -1, last = -1;
  int64_t size = 0, offset = 0;

  bool overlaps(const Life &other) const {
    return first <= other.last && other.first <= last;
  }
};

struct PlanMemoryPass final : plan::impl::PlanMemoryPassBase<PlanMemoryPass> {
  using Base::Base;

  void runOnOperation() override {
    std::vector<Life> lives = findLives();
    // Large buffers first: small ones fill the gaps they leave.
    llvm::stable_sort(
        lives, [](const Life &a, const Life &b) { return a.size > b.size; });
    for (size_t i = 0; i < lives.size(); ++i) {
      placeAfter(lives[i], ArrayRef(lives).take_front(i));
      lives[i].buffer.setOffset(lives[i].offset);
      bufferBytes += lives[i].size;
    }
    arenaBytes += plan::arenaBytes(getOperation());
  }

private:
  /// Removes buffers that nothing binds.
  std::vector<Life> findLives() {
    ProgramOp program = getOperation();
    llvm::MapVector<StringRef, Life> lives;
    for (auto buffer : program.getOps<BufferOp>()) {
      Life &life = lives[buffer.getSymName()];
      life.buffer = buffer;
      life.size = llvm::alignTo(buffer.getBytes(), bufferAlignment);
    }
    int64_t interval = 0;
    // What the chunked dispatches that take turns bind lives in all of them.
    SmallVector<Life *> inTurns;
    bool areTurns = false;
    int64_t firstTurn = 0;
    for (Operation &op : program.getBody().front()) {
      if (isa<BarrierOp>(op))
        ++interval;
      auto dispatch = dyn_cast<DispatchOp>(op);
      if (!dispatch)
        continue;
      if (!dispatch.getChunked())
        inTurns.clear();
      else if (!areTurns)
        firstTurn = interval;
      areTurns = dispatch.getChunked();
      for (BindingAttr binding : dispatch.getBindingRange()) {
        if (binding.getKind() != BindingKind::Buffer)
          continue;
        Life &life = lives[binding.getSymbol().getValue()];
        if (life.first < 0)
          life.first = areTurns ? firstTurn : interval;
        life.last = interval;
        if (areTurns)
          inTurns.push_back(&life);
      }
      for (Life *life : inTurns)
        life->last = interval;
    }
    std::vector<Life> result;
    for (auto &[name, life] : lives) {
      if (life.first < 0)
        life.buffer.erase();
      else
        result.push_back(life);
    }
    return result;
  }

  /// The lowest offset where `life` meets none of those already placed.
  static void placeAfter(Life &life, ArrayRef<Life> placed) {
    SmallVector<const Life *> neighbors;
    for (const Life &other : placed)
      if (life.overlaps(other))
        neighbors.push_back(&other);
    llvm::sort(neighbors, [](const Life *a, const Life *b) {
      return a->offset < b->offset;
    });
    for (const Life *other : neighbors) {
      if (life.offset + life.size <= other->offset)
        return;
      life.offset = std::max(life.offset, other->offset + other->size);
    }
  }
};

} // namespace
