//===- BestLogits.cpp - The best logits of each row -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// An entry is an i64: the key of a number, then its place with all bits
// flipped. The larger entry is the better: of equal numbers, that of the lower
// place. 0 is below every entry.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/BestLogits.h"

#include "lowering/NVPTX/OrderedKey.h"
#include "lowering/NVPTX/RowEmitter.h"
#include "runtime/base/LogitCandidate.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

/// Entries that a block sorts.
static constexpr int64_t capacity = 2048;
/// Two entries a thread.
static constexpr int64_t threads = capacity / 2;

/// The key of a logit. Zeros of both signs are equal, as they are to a sampler.
static Value keyOfLogit(PtxBuilder &b, Value logit) {
  Value bits = b.bitcast(logit, b.getI32Type());
  Value isZero = b.equal(b.shiftLeft(bits, 1), 0);
  return orderedKey(b, b.select(isZero, b.f32(0.0f), logit));
}

int64_t BestLogitsSpec::groupColumns() const {
  return llvm::alignTo(llvm::divideCeil(depth, capacity), 32);
}
int64_t BestLogitsSpec::groups() const {
  return llvm::divideCeil(depth, groupColumns());
}
int64_t BestLogitsSpec::rowBytes() const {
  return static_cast<int64_t>(::dsv2::LogitCandidates::rowBytes(most));
}

//===----------------------------------------------------------------------===//
// The largest of each group
//===----------------------------------------------------------------------===//

KernelInfo emitGroupMaxima(ModuleOp module, StringRef name,
                           const BestLogitsSpec &spec) {
  constexpr int64_t warps = 8, groupsOfWarp = 4;
  int64_t groups = spec.groups(), columns = spec.groupColumns();
  int64_t blocks = llvm::divideCeil(groups, warps * groupsOfWarp);
  Launch launch;
  launch.threads = 32 * warps;
  launch.workgroups = {.count = blocks, .tile = 1, .dim = Dim::logitRows};
  RowEmitter k(module, name, 2, launch);
  k.launchDependents();
  Type f32 = k.getF32Type(), i32 = k.getI32Type();
  Value row = k.div(k.workgroup(), blocks);
  Value block = k.rem(k.workgroup(), blocks);
  Value logits = k.rowAt(k.binding(0), f32, row, spec.depth);
  Value first = k.mul(k.add(k.mul(block, warps), k.warp()), groupsOfWarp);
  // All loads are on their way before the first is looked at.
  SmallVector<SmallVector<Value>> values(groupsOfWarp);
  for (int64_t g = 0; g < groupsOfWarp; ++g)
    for (int64_t i = 0; i < columns / 32; ++i) {
      Value column =
          k.add(k.mul(k.add(first, g), columns), k.add(k.lane(), 32 * i));
      Value inside = k.min(column, spec.depth - 1);
      values[g].push_back(k.load(f32, k.element(logits, f32, inside)));
    }
  for (int64_t g = 0; g < groupsOfWarp; ++g) {
    // What lies behind the end repeats the last column, which is in the group,
    // or in one that does not exist.
    Value largest = keyOfLogit(k, values[g][0]);
    for (Value value : ArrayRef(values[g]).drop_front())
      largest = arith::MaxUIOp::create(k, largest, keyOfLogit(k, value));
    largest = warpUnsignedMax(k, largest);
    Value group = k.add(first, g);
    k.ifThen(k.both(k.equal(k.lane(), 0), k.less(group, groups)), [&] {
      k.store(largest,
              k.element(k.rowAt(k.binding(1), i32, row, groups), i32, group));
    });
  }
  return k.finish();
}

//===----------------------------------------------------------------------===//
// The best of a row
//===----------------------------------------------------------------------===//

namespace {

class BestLogitsEmitter : public RowEmitter {
public:
  BestLogitsEmitter(ModuleOp module, StringRef name, const BestLogitsSpec &spec)
      : RowEmitter(module, name, 3, launch()), spec(spec),
        chosenGroups(std::min(spec.groups(), spec.most)),
        entries(shared(8 * capacity)), chosen(shared(4 * spec.most)),
        counter(shared(8)) {}

  KernelInfo emit();

private:
  static Launch launch() {
    Launch launch;
    launch.threads = threads;
    launch.workgroups = {.count = 1, .tile = 1, .dim = Dim::logitRows};
    return launch;
  }

  Value entryAt(Value index) { return element(entries, getI64Type(), index); }
  Value loadEntry(Value index) { return load(getI64Type(), entryAt(index)); }
  Value makeEntry(Value key, Value place) {
    return bitOr(shiftLeft(toI64(key), 32), toI64(bitXor(place, -1)));
  }
  Value keyOf(Value entry) { return toI32(shiftRight(entry, 32)); }
  Value placeOf(Value entry) { return bitXor(toI32(entry), -1); }

  /// Sorts the first 2^stages entries, the largest first: a bitonic network.
  void sort(Value stages);
  void chooseGroups(Value row);
  void collect(Value row);
  void write(Value row);

  const BestLogitsSpec spec;
  const int64_t chosenGroups;
  Value entries, chosen, counter;
  Value least; ///< key that everything listed reaches
};

} // namespace

void BestLogitsEmitter::sort(Value stages) {
  auto power = [&](Value exponent) -> Value {
    return arith::ShLIOp::create(*this, this->i32(1), exponent);
  };
  Value pairs = power(sub(stages, 1));
  loop(this->i32(1), add(stages, 1), 1, [&](Value stage) {
    loop(this->i32(0), stage, 1, [&](Value pass) {
      Value distance = power(sub(sub(stage, 1), pass));
      ifThen(less(thread(), pairs), [&] {
        Value within = bitAnd(thread(), sub(distance, 1));
        Value low = sub(shiftLeft(thread(), 1), within);
        Value high = add(low, distance);
        Value a = loadEntry(low), b = loadEntry(high);
        Value ascends = notEqual(bitAnd(low, power(stage)), 0);
        Value aIsLess =
            arith::CmpIOp::create(*this, arith::CmpIPredicate::ult, a, b);
        // Entries differ, but for those behind the last.
        ifThen(bitXor(aIsLess, ascends), [&] {
          store(b, entryAt(low));
          store(a, entryAt(high));
        });
      });
      barrier();
    });
  });
}

void BestLogitsEmitter::chooseGroups(Value row) {
  Type i32 = getI32Type();
  int64_t groups = spec.groups();
  auto stages = static_cast<int64_t>(
      std::max(1u, llvm::Log2_64_Ceil(static_cast<uint64_t>(groups))));
  Value maxima = rowAt(binding(1), i32, row, groups);
  loop(thread(), this->i32(int64_t(1) << stages), threads, [&](Value group) {
    Value key = load(i32, element(maxima, i32, min(group, groups - 1)));
    Value entry = select(less(group, groups), makeEntry(key, group), i64(0));
    store(entry, entryAt(group));
  });
  barrier();
  sort(this->i32(stages));
  // All of a short row.
  least = groups <= spec.most ? this->i32(1)
                              : keyOf(loadEntry(this->i32(chosenGroups - 1)));
  ifThen(less(thread(), chosenGroups), [&] {
    store(placeOf(loadEntry(thread())), element(chosen, i32, thread()));
  });
  ifThen(equal(thread(), 0), [&] { store(this->i32(0), counter); });
  barrier();
}

void BestLogitsEmitter::collect(Value row) {
  Type i32 = getI32Type(), f32 = getF32Type();
  int64_t columns = spec.groupColumns();
  Value logits = rowAt(binding(0), f32, row, spec.depth);
  loop(thread(), this->i32(chosenGroups * columns), threads, [&](Value item) {
    Value group = load(i32, element(chosen, i32, div(item, columns)));
    Value column = add(mul(group, columns), rem(item, columns));
    ifThen(less(column, spec.depth), [&] {
      Value key = keyOfLogit(*this, load(f32, element(logits, f32, column)));
      Value isGood =
          arith::CmpIOp::create(*this, arith::CmpIPredicate::uge, key, least);
      ifThen(isGood, [&] {
        // In any order: what is sorted afterwards does not depend on it.
        Value at = LLVM::AtomicRMWOp::create(
            *this, LLVM::AtomicBinOp::add, counter, this->i32(1),
            LLVM::AtomicOrdering::monotonic, "block");
        ifThen(less(at, capacity),
               [&] { store(makeEntry(key, column), entryAt(at)); });
      });
    });
  });
  barrier();
}

void BestLogitsEmitter::write(Value row) {
  Type i32 = getI32Type(), f32 = getF32Type();
  Value found = load(i32, counter);
  Value count = min(found, capacity);
  // As few stages as hold them, and the places that are to be listed.
  Value stages = this->i32(llvm::Log2_64_Ceil(spec.most));
  for (int64_t size = spec.most; size < capacity; size *= 2)
    stages = select(less(this->i32(size), count),
                    this->i32(llvm::Log2_64(size) + 1), stages);
  Value end = arith::ShLIOp::create(*this, this->i32(1), stages);
  loop(add(count, thread()), end, threads,
       [&](Value index) { store(i64(0), entryAt(index)); });
  barrier();
  sort(stages);
  Value list = rowAt(binding(2), getI8Type(), row, spec.rowBytes());
  Value listed = min(count, spec.most);
  ifThen(less(thread(), listed), [&] {
    Value id = placeOf(loadEntry(thread()));
    Value logits = rowAt(binding(0), f32, row, spec.depth);
    Value logit = load(i32, element(logits, i32, id));
    Value pair = insert(id, splat(logit, 2), 1);
    store(pair, offset(list, add(mul(thread(), 8), 8)));
  });
  ifThen(equal(thread(), 0), [&] {
    Value isWhole = less(found, capacity + 1);
    store(select(isWhole, listed, this->i32(0)), list);
  });
}

KernelInfo BestLogitsEmitter::emit() {
  launchDependents();
  Value row = workgroup();
  chooseGroups(row);
  collect(row);
  write(row);
  return finish();
}

KernelInfo emitBestLogits(ModuleOp module, StringRef name,
                          const BestLogitsSpec &spec) {
  return BestLogitsEmitter(module, name, spec).emit();
}

} // namespace mlir::dsv2::nvptx
