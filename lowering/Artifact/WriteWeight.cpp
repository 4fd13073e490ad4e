//===- WriteWeight.cpp - Weights in the formats of their types ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/RowReaders.h"
#include "lowering/NVPTX/PackWeights.h"
#include "lowering/X86/PackWeights.h"
#include "runtime/base/NumberFormats.h"

#include <atomic>
#include <thread>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Status;
using ::dsv2::StatusCode;

namespace {

/// How the rows of a weight become bytes.
struct Layout {
  /// Panels of one row are quantized rows for a GPU: those of a matrix, then
  /// the scales of all of them. Of e4m3 they are those of all matrices, then
  /// the scales of all blocks.
  enum class Kind { plain, panels, gpuRows, gpuBlocks } kind = Kind::plain;
  x86::WeightFormat format = x86::WeightFormat::f32; ///< unless plain
  Type element;                                      ///< of plain rows
  int64_t rows = 1; ///< of one matrix of a stack, or of everything when plain
  int64_t matrices = 1;
  int64_t depth = 1;
  /// Rows of two halves alternate by so many; 0: they do not.
  int64_t interleave = 0;

  bool hasGroups() const {
    return kind != Kind::plain && (format == x86::WeightFormat::int8 ||
                                   format == x86::WeightFormat::int4);
  }
  nvptx::WeightFormat gpuFormat() const {
    return format == x86::WeightFormat::int8 ? nvptx::WeightFormat::int8
                                             : nvptx::WeightFormat::int4;
  }
  /// Rows that are written together.
  int64_t unitRows() const {
    return kind == Kind::panels      ? x86::panelRows
           : kind == Kind::gpuBlocks ? ::dsv2::fp8BlockSize
                                     : 1;
  }
  int64_t unitsEach() const { return llvm::divideCeil(rows, unitRows()); }
  int64_t unitBytes() const {
    switch (kind) {
    case Kind::plain:
      return depth * element.getIntOrFloatBitWidth() / 8;
    case Kind::panels:
      return x86::panelBytes(format, depth);
    case Kind::gpuRows:
      return nvptx::rowBytes(gpuFormat(), depth);
    case Kind::gpuBlocks:
      return unitRows() * depth;
    }
    llvm_unreachable("all kinds are listed");
  }
  /// Bytes of units [first, first + count) of a matrix. The last block of rows
  /// may be shorter.
  int64_t bytesOf(int64_t first, int64_t count) const {
    int64_t missing = 0;
    if (kind == Kind::gpuBlocks && first + count == unitsEach())
      missing = unitsEach() * unitRows() - rows;
    return count * unitBytes() - missing * depth;
  }
  /// Scales of a block of rows of e4m3; both halves have theirs.
  int64_t blockScales() const {
    return fp8Blocks(depth) * (interleave ? 2 : 1);
  }
  /// Bytes of a unit that follow those of all units of its matrix, or of all
  /// matrices.
  int64_t tailBytes() const {
    return kind == Kind::gpuRows ? nvptx::scaleBytes(gpuFormat(), depth)
           : kind == Kind::gpuBlocks
               ? blockScales() * static_cast<int64_t>(sizeof(float))
               : 0;
  }
};

Layout layoutOf(RankedTensorType type) {
  Layout layout;
  layout.element = type.getElementType();
  ArrayRef<int64_t> shape = type.getShape();
  layout.depth = shape.empty() ? 1 : shape.back();
  int64_t allRows = 1;
  for (int64_t size : shape.drop_back(shape.empty() ? 0 : 1))
    allRows *= size;
  auto panels = dyn_cast_or_null<PanelsAttr>(type.getEncoding());
  bool isPlain = !panels || (panels.getRows() == 1 && !panels.getFormat());
  if (isPlain) {
    layout.rows = allRows;
    return layout;
  }
  layout.interleave = panels.getInterleave();
  layout.kind = isa_and_nonnull<BlockFp8Attr>(panels.getFormat())
                    ? Layout::Kind::gpuBlocks
                : panels.getRows() == 1 ? Layout::Kind::gpuRows
                                        : Layout::Kind::panels;
  layout.rows = shape[shape.size() - 2];
  layout.matrices = allRows / layout.rows;
  layout.format = isa_and_nonnull<BlockInt8Attr>(panels.getFormat())
                      ? x86::WeightFormat::int8
                  : isa_and_nonnull<BlockInt4Attr>(panels.getFormat())
                      ? x86::WeightFormat::int4
                  : layout.element.isBF16() ? x86::WeightFormat::bf16
                                            : x86::WeightFormat::f32;
  return layout;
}

void writePlain(const float *values, int64_t count, Type element,
                std::byte *out) {
  if (element.isF32()) {
    std::memcpy(out, values, count * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits = element.isBF16() ? ::dsv2::floatToBf16(values[i])
                                     : ::dsv2::floatToF16(values[i]);
    std::memcpy(out + 2 * i, &bits, sizeof(bits));
  }
}

/// Reads rows and quantizes them, or takes the quants they have.
Status readGroups(const RowReader &reader, const Layout &layout, int64_t row,
                  int64_t rows, int8_t *quants, uint16_t *scales) {
  if (reader.hasGroups())
    return reader.readGroups(row, rows, quants, scales);
  std::vector<float> values(rows * layout.depth);
  DSV2_RETURN_IF_ERROR(reader.read(row, rows, values.data()));
  x86::quantizeGroups(layout.format,
                      {values.data(), rows, layout.depth, layout.depth}, quants,
                      scales);
  return Status();
}

/// Reads blocks of rows of e4m3; the scales of a block are those of its first
/// row (of each half).
Status evaluateBlocks(const RowReader &reader, const Layout &layout,
                      int64_t row, int64_t rows, std::byte *out,
                      std::byte *tail) {
  int64_t blocks = fp8Blocks(layout.depth);
  std::vector<float> scales(rows * blocks);
  DSV2_RETURN_IF_ERROR(reader.readFp8(row, rows,
                                      reinterpret_cast<uint8_t *>(out), // bytes
                                      scales.data()));
  for (int64_t r = 0; r < rows; r += layout.unitRows())
    for (int64_t i = 0; i < layout.blockScales(); i += blocks) {
      int64_t from = r + (i ? layout.interleave : 0);
      std::memcpy(tail, &scales[from * blocks], blocks * 4);
      tail += blocks * 4;
    }
  return Status();
}

/// Evaluates units [first, first + count) of one matrix into `out`, and what
/// follows its last unit into `tail`.
Status evaluateUnits(const RowReader &reader, const Layout &layout,
                     int64_t matrix, int64_t first, int64_t count,
                     std::byte *out, std::byte *tail) {
  int64_t firstRow = first * layout.unitRows();
  int64_t rows = std::min(count * layout.unitRows(), layout.rows - firstRow);
  int64_t row = matrix * layout.rows + firstRow;
  if (layout.kind == Layout::Kind::gpuBlocks)
    return evaluateBlocks(reader, layout, row, rows, out, tail);
  bool isGpu = layout.kind == Layout::Kind::gpuRows;
  if (isGpu || (layout.hasGroups() && reader.hasGroups())) {
    int64_t groups = x86::groupCount(layout.depth);
    std::vector<int8_t> quants(rows * layout.depth);
    std::vector<uint16_t> scales(rows * groups);
    DSV2_RETURN_IF_ERROR(
        readGroups(reader, layout, row, rows, quants.data(), scales.data()));
    if (isGpu) {
      for (int64_t r = 0; r < rows; ++r)
        nvptx::packRow(layout.gpuFormat(), &quants[r * layout.depth],
                       &scales[r * groups], layout.depth,
                       out + r * layout.unitBytes(),
                       tail + r * layout.tailBytes());
      return Status();
    }
    x86::packGroups(layout.format,
                    {quants.data(), scales.data(), rows, layout.depth}, out);
    return Status();
  }
  std::vector<float> values(rows * layout.depth);
  DSV2_RETURN_IF_ERROR(reader.read(row, rows, values.data()));
  if (layout.kind == Layout::Kind::plain) {
    writePlain(values.data(), rows * layout.depth, layout.element, out);
    return Status();
  }
  x86::packWeights(layout.format,
                   {values.data(), rows, layout.depth, layout.depth}, out);
  return Status();
}

/// A part of a matrix that one thread evaluates at a time.
struct Piece {
  int64_t matrix, first, count;
};

/// About this many values are evaluated at a time by one thread.
constexpr int64_t kPieceValues = 1 << 21;

std::vector<Piece> piecesOf(const Layout &layout) {
  int64_t unitValues = layout.unitRows() * layout.depth;
  int64_t step = std::max<int64_t>(1, kPieceValues / unitValues);
  std::vector<Piece> pieces;
  for (int64_t matrix = 0; matrix < layout.matrices; ++matrix)
    for (int64_t first = 0; first < layout.unitsEach(); first += step)
      pieces.push_back(
          {matrix, first, std::min(step, layout.unitsEach() - first)});
  return pieces;
}

using Bytes = std::vector<std::byte>;

/// Evaluates a run of pieces in parallel and gives them to `sink` in order.
/// `tail` is what has to follow the matrix that is being written.
Status writePieces(const RowReader &reader, const Layout &layout,
                   ArrayRef<Piece> pieces, unsigned threads,
                   const ByteSink &sink, Bytes &tail) {
  std::vector<Bytes> bytes(pieces.size()), tails(pieces.size());
  std::vector<Status> statuses(pieces.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i; (i = next.fetch_add(1)) < pieces.size();) {
      const Piece &piece = pieces[i];
      bytes[i].resize(layout.bytesOf(piece.first, piece.count));
      tails[i].resize(piece.count * layout.tailBytes());
      statuses[i] =
          evaluateUnits(reader, layout, piece.matrix, piece.first, piece.count,
                        bytes[i].data(), tails[i].data());
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 1; i < std::min<size_t>(threads, pieces.size()); ++i)
    workers.emplace_back(work);
  work();
  for (std::thread &worker : workers)
    worker.join();
  for (size_t i = 0; i < pieces.size(); ++i) {
    DSV2_RETURN_IF_ERROR(statuses[i]);
    DSV2_RETURN_IF_ERROR(sink(bytes[i]));
    tail.insert(tail.end(), tails[i].begin(), tails[i].end());
    bool isLast = pieces[i].first + pieces[i].count == layout.unitsEach() &&
                  (layout.kind == Layout::Kind::gpuRows ||
                   pieces[i].matrix + 1 == layout.matrices);
    if (isLast && !tail.empty()) {
      DSV2_RETURN_IF_ERROR(sink(tail));
      tail.clear();
    }
  }
  return Status();
}

} // namespace

uint64_t mlir::dsv2::weightBytes(RankedTensorType type) {
  Layout layout = layoutOf(type);
  return layout.matrices * (layout.bytesOf(0, layout.unitsEach()) +
                            layout.unitsEach() * layout.tailBytes());
}

LogicalResult mlir::dsv2::writeWeight(WeightOp weight,
                                      const ::dsv2::TensorSource &source,
                                      unsigned threads, const ByteSink &sink) {
  Type element = weight.getWeightType().getElementType();
  Layout layout = layoutOf(weight.getWeightType());
  if (layout.kind == Layout::Kind::plain && !element.isF32() &&
      !element.isBF16() && !element.isF16())
    return weight.emitOpError("expects a type that can be stored, but found ")
           << weight.getWeightType();
  // The packer of a quantized weight quantizes, so read the values before.
  FailureOr<std::shared_ptr<const RowReader>> reader =
      makeRowReader(weight, source);
  if (failed(reader))
    return failure();
  if (layout.kind == Layout::Kind::gpuBlocks && !(*reader)->hasFp8())
    reader = makeFp8Reader(*reader);

  std::vector<Piece> pieces = piecesOf(layout);
  ArrayRef<Piece> rest = pieces;
  Bytes tail;
  while (!rest.empty()) {
    size_t count = std::min<size_t>(rest.size(), 4 * std::max(1u, threads));
    Status status = writePieces(**reader, layout, rest.take_front(count),
                                threads, sink, tail);
    if (!status.ok())
      return emitError(weight.getLoc()) << status.message();
    rest = rest.drop_front(count);
  }
  return success();
}
