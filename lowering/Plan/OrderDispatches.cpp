//===- OrderDispatches.cpp - Few barriers, small work beside large --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/Passes.h"

#include "llvm/ADT/MapVector.h"

#include <limits>

namespace mlir::dsv2::plan {
#define GEN_PASS_DEF_ORDERDISPATCHESPASS
#include "lowering/Plan/Passes.h.inc"
} // namespace mlir::dsv2::plan

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::plan;

namespace {

/// Dispatches of which a step runs one: alternatives for numbers of tokens that
/// follow each other. Mostly one dispatch.
struct Node {
  SmallVector<DispatchOp, 1> dispatches;
  int64_t firstToken, lastToken; ///< that they cover
  bool large = false;
  int64_t earliest = 0, interval = 0;
  SmallVector<size_t> after; ///< nodes that depend on this one
};

int64_t firstTokenOf(DispatchOp op) { return op.getMinTokens().value_or(1); }
int64_t lastTokenOf(DispatchOp op) {
  return op.getMaxTokens().value_or(std::numeric_limits<int64_t>::max());
}

/// Whether it reads so much of a weight that all threads shall share it: a
/// matrix of half a million elements or more.
bool isLarge(DispatchOp op, SymbolTable &symbols) {
  constexpr int64_t manyElements = int64_t(1) << 19;
  return llvm::any_of(op.getBindingRange(), [&](BindingAttr binding) {
    if (binding.getKind() != BindingKind::Weight)
      return false;
    auto weight = symbols.lookup<WeightOp>(binding.getSymbol().getValue());
    if (!weight)
      return false;
    RankedTensorType type = weight.getWeightType();
    return isa_and_nonnull<PanelsAttr>(type.getEncoding()) &&
           type.getNumElements() >= manyElements;
  });
}

struct OrderDispatchesPass final
    : plan::impl::OrderDispatchesPassBase<OrderDispatchesPass> {
  using Base::Base;

  void runOnOperation() override {
    if (getOperation().getChunkStep())
      return;
    // One pass object runs on several programs.
    nodes.clear();
    intervals = 0;
    collect();
    connect();
    for (size_t i = 0; i < nodes.size(); ++i)
      for (size_t next : nodes[i].after)
        nodes[next].earliest =
            std::max(nodes[next].earliest, nodes[i].earliest + 1);
    chooseIntervals();
    rebuild();
  }

private:
  std::vector<Node> nodes;
  int64_t intervals = 0;

  void collect() {
    SymbolTable symbols(getOperation()->getParentOp());
    for (auto op : getOperation().getOps<DispatchOp>()) {
      int64_t first = firstTokenOf(op), last = lastTokenOf(op);
      bool alternative = !nodes.empty() && (first > nodes.back().lastToken ||
                                            last < nodes.back().firstToken);
      if (!alternative)
        nodes.push_back({{}, first, last});
      Node &node = nodes.back();
      node.dispatches.push_back(op);
      node.firstToken = std::min(node.firstToken, first);
      node.lastToken = std::max(node.lastToken, last);
      node.large |= isLarge(op, symbols);
    }
  }

  /// Nodes wait for the last ones that wrote what they touch, and for those
  /// that read what they write.
  void connect() {
    struct Users {
      SmallVector<size_t> writers, readers; ///< since the last write
    };
    llvm::MapVector<Attribute, Users> places;
    for (size_t i = 0; i < nodes.size(); ++i) {
      SmallVector<Attribute> reads, writes;
      for (DispatchOp op : nodes[i].dispatches)
        for (BindingAttr binding : op.getBindingRange())
          if (Attribute place = placeOf(binding)) {
            if (binding.getAccess() != Access::Out)
              reads.push_back(place);
            if (binding.getAccess() != Access::In)
              writes.push_back(place);
          }
      auto waitFor = [&](ArrayRef<size_t> others) {
        for (size_t other : others)
          if (other != i && !llvm::is_contained(nodes[other].after, i))
            nodes[other].after.push_back(i);
      };
      for (Attribute place : reads)
        waitFor(places[place].writers);
      for (Attribute place : writes) {
        waitFor(places[place].writers);
        waitFor(places[place].readers);
      }
      for (Attribute place : reads)
        places[place].readers.push_back(i);
      // Writers of parts of one buffer wait for each other, so the last one
      // stands for all.
      for (Attribute place : writes)
        places[place] = {{i}, {}};
    }
  }

  /// Nodes that can wait go where they fill an interval: large ones to the
  /// first that has no other, small ones to the first that has a large one.
  void chooseIntervals() {
    for (const Node &node : nodes)
      intervals = std::max(intervals, node.earliest + 1);
    std::vector<int64_t> latest(nodes.size(), intervals - 1);
    for (size_t i = nodes.size(); i-- > 0;)
      for (size_t next : nodes[i].after)
        latest[i] = std::min(latest[i], latest[next] - 1);
    std::vector<bool> hasLarge(intervals, false);
    for (size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i].earliest == latest[i] && nodes[i].large)
        hasLarge[latest[i]] = true;
    for (size_t i = nodes.size(); i-- > 0;) {
      Node &node = nodes[i];
      int64_t last = intervals - 1;
      for (size_t next : node.after)
        last = std::min(last, nodes[next].interval - 1);
      node.interval = node.earliest;
      for (int64_t at = node.earliest; at <= last; ++at)
        if (hasLarge[at] != node.large) {
          node.interval = at;
          break;
        }
      if (node.large)
        hasLarge[node.interval] = true;
    }
  }

  /// Small dispatches first: the thread that takes one joins the others later.
  void rebuild() {
    Block &body = getOperation().getBody().front();
    for (auto barrier :
         llvm::make_early_inc_range(getOperation().getOps<BarrierOp>()))
      barrier.erase();
    OpBuilder b = OpBuilder::atBlockEnd(&body);
    for (int64_t interval = 0; interval < intervals; ++interval) {
      if (interval)
        BarrierOp::create(b, getOperation().getLoc());
      for (bool large : {false, true})
        for (Node &node : nodes)
          if (node.interval == interval && node.large == large)
            for (DispatchOp op : node.dispatches)
              op->moveBefore(&body, body.end());
    }
    numBarriers += std::max<int64_t>(0, intervals - 1);
  }
};

} // namespace
