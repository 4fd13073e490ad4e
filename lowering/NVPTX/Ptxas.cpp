//===- Ptxas.cpp - NVIDIA's assembler as a program ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Ptxas.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

namespace mlir::dsv2::nvptx {
namespace {

/// A file that is removed with this object.
class TemporaryFile {
public:
  bool create(llvm::StringRef suffix) {
    return !llvm::sys::fs::createTemporaryFile("dsv2", suffix, path);
  }
  ~TemporaryFile() {
    if (!path.empty())
      llvm::sys::fs::remove(path);
  }
  llvm::SmallString<128> path;
};

/// The number before `unit` in `line`: 168 of "Used 168 registers".
int64_t numberBefore(llvm::StringRef line, llvm::StringRef unit) {
  size_t end = line.find(unit);
  if (end == llvm::StringRef::npos)
    return 0;
  llvm::StringRef before = line.take_front(end).rtrim();
  size_t begin = before.find_last_not_of("0123456789");
  int64_t value = 0;
  before.drop_front(begin + 1).getAsInteger(10, value);
  return value;
}

/// The first line that tells of an error, without the name of our file.
std::string firstError(llvm::StringRef output) {
  llvm::SmallVector<llvm::StringRef> lines;
  output.split(lines, '\n', -1, false);
  for (llvm::StringRef line : lines)
    if (line.contains("error") || line.contains("fatal"))
      return line.substr(std::min(line.find("line"), line.find("error")))
          .trim()
          .str();
  return lines.empty() ? "no message" : lines.front().str();
}

} // namespace

std::string defaultPtxas() {
  for (llvm::StringRef path : {llvm::StringRef(DSV2_PTXAS_PATH),
                               llvm::StringRef("/usr/local/cuda/bin/ptxas")})
    if (!path.empty() && llvm::sys::fs::can_execute(path))
      return path.str();
  return {};
}

void parseReport(llvm::StringRef output, Assembly &assembly) {
  llvm::SmallVector<llvm::StringRef> lines;
  output.split(lines, '\n', -1, false);
  Resources &resources = assembly.resources;
  for (llvm::StringRef line : lines) {
    if (line.contains("bytes stack frame")) {
      resources.stackBytes = numberBefore(line, " bytes stack frame");
      resources.spillStores = numberBefore(line, " bytes spill stores");
      resources.spillLoads = numberBefore(line, " bytes spill loads");
    } else if (line.contains("Used ") && line.contains(" registers")) {
      resources.registers = numberBefore(line, " registers");
      resources.barriers = numberBefore(line, " barriers");
      resources.sharedBytes = numberBefore(line, " bytes smem");
    } else if (line.contains("warning") || line.contains("(C75")) {
      assembly.warnings.push_back(line.trim().str());
    }
  }
}

FailureOr<Assembly> assemble(llvm::StringRef ptxas, llvm::StringRef chip,
                             llvm::StringRef ptx, std::string &error) {
  TemporaryFile source, object, log;
  if (!source.create("ptx") || !object.create("cubin") || !log.create("log")) {
    error = "expects to create temporary files for ptxas";
    return failure();
  }
  {
    std::error_code code;
    llvm::raw_fd_ostream stream(source.path, code);
    stream << ptx;
    stream.close();
    if (code || stream.has_error()) {
      stream.clear_error();
      error = "expects to write " + source.path.str().str();
      return failure();
    }
  }
  std::string arch = ("-arch=" + chip).str();
  llvm::StringRef arguments[] = {ptxas,       arch, "-v",       "-O3",
                                 source.path, "-o", object.path};
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""),
                                                llvm::StringRef(log.path),
                                                llvm::StringRef(log.path)};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt,
                                         redirects, 0, 0, &message);
  auto output = llvm::MemoryBuffer::getFile(log.path);
  llvm::StringRef text = output ? (*output)->getBuffer() : "";
  if (status != 0) {
    error = ("expects " + ptxas + " to assemble the kernel, found: ").str() +
            (status < 0 ? message : firstError(text));
    return failure();
  }
  Assembly assembly;
  parseReport(text, assembly);
  auto cubin = llvm::MemoryBuffer::getFile(object.path, false, false);
  if (!cubin || (*cubin)->getBufferSize() == 0) {
    error = ("expects " + ptxas + " to write a cubin, found none").str();
    return failure();
  }
  assembly.cubin.assign((*cubin)->getBufferStart(), (*cubin)->getBufferEnd());
  return assembly;
}

int64_t blocksPerSM(const Resources &resources, int64_t threads,
                    int64_t dynamicSharedBytes) {
  // Registers are given to warps in units of 256, shared memory to blocks in
  // units of 128 bytes, 1 KiB of which the system keeps for itself.
  int64_t warps = llvm::divideCeil(threads, 32);
  int64_t registers =
      warps *
      llvm::alignTo(std::max<int64_t>(resources.registers, 1) * 32, 256);
  int64_t shared =
      llvm::alignTo(resources.sharedBytes + dynamicSharedBytes + 1024, 128);
  return std::min({int64_t(32), 64 / warps, 65536 / registers,
                   int64_t(228 * 1024) / shared});
}

} // namespace mlir::dsv2::nvptx
