//===- Kernel.cpp - The form of a GPU kernel ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Kernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::dsv2::nvptx;

/// The 128 bytes of a CUtensorMap.
static LLVM::LLVMArrayType tensorMapType(MLIRContext *context) {
  return LLVM::LLVMArrayType::get(IntegerType::get(context, 8), 128);
}

/// The symbol of dynamic shared memory. It has to be external: LLVM would turn
/// an internal one into a static variable.
static LLVM::GlobalOp sharedMemory(ModuleOp module) {
  if (auto known = module.lookupSymbol<LLVM::GlobalOp>(sharedMemoryName))
    return known;
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
  return LLVM::GlobalOp::create(b, module.getLoc(), type, /*isConstant=*/false,
                                LLVM::Linkage::External, sharedMemoryName,
                                Attribute(), /*alignment=*/1024,
                                /*addrSpace=*/3);
}

KernelBuilder::KernelBuilder(ModuleOp module, StringRef name, unsigned bindings,
                             const Launch &launch,
                             ArrayRef<TensorMap> tensorMaps)
    : PtxBuilder(NameLoc::get(StringAttr::get(module.getContext(), name)),
                 OpBuilder::atBlockEnd(module.getBody())),
      bindingCount(bindings) {
  info.launch = launch;
  info.tensorMaps.assign(tensorMaps.begin(), tensorMaps.end());
  LLVM::GlobalOp shared = sharedMemory(module);

  SmallVector<Type> arguments(bindings + 1, globalPointer());
  arguments.append(tensorMaps.size(), LLVM::LLVMPointerType::get(getContext()));
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(getContext()),
                                          arguments);
  info.func = LLVM::LLVMFuncOp::create(*this, name, type);
  info.func->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), getUnitAttr());
  info.func->setAttr(
      NVVM::NVVMDialect::getMaxntidAttrName(),
      getDenseI32ArrayAttr({static_cast<int32_t>(launch.threads)}));
  if (launch.minBlocksPerSM)
    info.func->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                       getI32IntegerAttr(launch.minBlocksPerSM));
  for (unsigned i = 0; i < tensorMaps.size(); ++i) {
    unsigned argument = bindings + 1 + i;
    info.func.setArgAttr(argument, LLVM::LLVMDialect::getByValAttrName(),
                         TypeAttr::get(tensorMapType(getContext())));
    info.func.setArgAttr(argument, LLVM::LLVMDialect::getAlignAttrName(),
                         getI32IntegerAttr(64));
    info.func.setArgAttr(argument, NVVM::NVVMDialect::getGridConstantAttrName(),
                         getUnitAttr());
  }

  entry = info.func.addEntryBlock(*this);
  setInsertionPointToStart(entry);
  sharedBase = LLVM::AddressOfOp::create(*this, shared);
  blockIndex = NVVM::BlockIdXOp::create(*this, getI32Type());

  bool needsGuard = launch.cluster == 1 && !launch.workgroups.blocksPerSM &&
                    launch.workgroups.dim != Dim::one;
  Block *body = entry;
  if (needsGuard) {
    Block *idle = createBlock(&info.func.getBody(), info.func.getBody().end());
    // An idle block waits too: the launch must not end before the previous one.
    waitForPrevious();
    LLVM::ReturnOp::create(*this, ValueRange{});
    body = createBlock(&info.func.getBody(), info.func.getBody().end());
    setInsertionPointToEnd(entry);
    LLVM::CondBrOp::create(*this, less(blockIndex, workgroupCount()), body,
                           idle);
    setInsertionPointToStart(body);
  }
  if (!launch.waitsItself)
    waitForPrevious();
}

template <typename Build>
Value KernelBuilder::inEntry(Build build) {
  InsertionGuard guard(*this);
  setInsertionPointAfterValue(blockIndex);
  return build();
}

Value KernelBuilder::dim(Dim dim) {
  Value &value = dims[static_cast<unsigned>(dim)];
  if (!value)
    value = inEntry([&]() -> Value {
      if (dim == Dim::one)
        return i32(1);
      return load(getI32Type(), offset(info.func.getArgument(bindingCount),
                                       4 * (static_cast<int64_t>(dim) - 1)));
    });
  return value;
}

Value KernelBuilder::firstContextRow() {
  if (!firstRow)
    firstRow = inEntry([&] {
      return load(getI32Type(),
                  offset(info.func.getArgument(bindingCount), 16));
    });
  return firstRow;
}

Value KernelBuilder::workgroupCount() {
  const Workgroups &groups = info.launch.workgroups;
  return mul(ceilDiv(dim(groups.dim), groups.tile), groups.count);
}

void KernelBuilder::forEachWorkgroup(llvm::function_ref<void(Value)> body) {
  if (!info.launch.workgroups.blocksPerSM)
    return body(blockIndex);
  Value blocks = NVVM::GridDimXOp::create(*this, getI32Type());
  loop(blockIndex, workgroupCount(), blocks, body);
}

Value KernelBuilder::shared(int64_t bytes, int64_t alignment) {
  int64_t begin = llvm::alignTo(info.sharedBytes, alignment);
  info.sharedBytes = begin + bytes;
  return inEntry([&]() -> Value {
    return LLVM::GEPOp::create(
        *this, sharedBase.getType(), getI8Type(), sharedBase,
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(begin)});
  });
}

//===----------------------------------------------------------------------===//
// The launch as an attribute
//===----------------------------------------------------------------------===//

static DenseI64ArrayAttr arrayAttr(Builder &b, ArrayRef<int64_t> values) {
  return b.getDenseI64ArrayAttr(values);
}

KernelInfo KernelBuilder::finish() {
  LLVM::ReturnOp::create(*this, ValueRange{});
  const Launch &launch = info.launch;
  const Workgroups &groups = launch.workgroups;
  SmallVector<Attribute> maps;
  for (const TensorMap &map : info.tensorMaps)
    maps.push_back(getDictionaryAttr({
        getNamedAttr("binding", getI64IntegerAttr(map.binding)),
        getNamedAttr("box", arrayAttr(*this, map.box)),
        getNamedAttr("element",
                     getI64IntegerAttr(static_cast<int64_t>(map.element))),
        getNamedAttr("sizes", arrayAttr(*this, map.sizes)),
        getNamedAttr("strides", arrayAttr(*this, map.strides)),
        getNamedAttr("swizzle",
                     getI64IntegerAttr(static_cast<int64_t>(map.swizzle))),
    }));
  // {count, tile, dim, blocks per SM, threads, cluster, shared bytes}
  info.func->setAttr(
      launchAttrName,
      getDictionaryAttr({
          getNamedAttr("cluster", getI64IntegerAttr(launch.cluster)),
          getNamedAttr("maps", getArrayAttr(maps)),
          getNamedAttr("shared", getI64IntegerAttr(info.sharedBytes)),
          getNamedAttr("threads", getI64IntegerAttr(launch.threads)),
          getNamedAttr("workgroups",
                       arrayAttr(*this, {groups.count, groups.tile,
                                         static_cast<int64_t>(groups.dim),
                                         groups.blocksPerSM})),
      }));
  return info;
}

std::optional<KernelInfo> mlir::dsv2::nvptx::launchOf(LLVM::LLVMFuncOp func) {
  auto launch = func->getAttrOfType<DictionaryAttr>(launchAttrName);
  if (!launch)
    return std::nullopt;
  auto number = [](DictionaryAttr in, StringRef name) {
    auto attribute = in.getAs<IntegerAttr>(name);
    return attribute ? attribute.getInt() : 0;
  };
  auto numbers = [](DictionaryAttr in, StringRef name) -> ArrayRef<int64_t> {
    auto attribute = in.getAs<DenseI64ArrayAttr>(name);
    return attribute ? attribute.asArrayRef() : ArrayRef<int64_t>();
  };
  KernelInfo info;
  info.func = func;
  info.launch.cluster = number(launch, "cluster");
  info.launch.threads = number(launch, "threads");
  info.sharedBytes = number(launch, "shared");
  ArrayRef<int64_t> groups = numbers(launch, "workgroups");
  if (groups.size() != 4)
    return std::nullopt;
  info.launch.workgroups = {groups[0], groups[1], static_cast<Dim>(groups[2]),
                            groups[3]};
  if (auto maps = launch.getAs<ArrayAttr>("maps"))
    for (auto each : maps.getAsRange<DictionaryAttr>()) {
      TensorMap map;
      map.binding = number(each, "binding");
      map.element = static_cast<MapElement>(number(each, "element"));
      map.sizes.assign(numbers(each, "sizes").begin(),
                       numbers(each, "sizes").end());
      map.strides.assign(numbers(each, "strides").begin(),
                         numbers(each, "strides").end());
      map.box.assign(numbers(each, "box").begin(), numbers(each, "box").end());
      map.swizzle = static_cast<Swizzle>(number(each, "swizzle"));
      info.tensorMaps.push_back(std::move(map));
    }
  return info;
}
