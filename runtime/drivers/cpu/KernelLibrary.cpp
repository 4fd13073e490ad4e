//===- KernelLibrary.cpp - The compiled kernels of an artifact ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/KernelLibrary.h"

#include "runtime/drivers/cpu/CpuFeatures.h"
#include "runtime/schema/artifact_generated.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace dsv2;

static std::string libraryNames(const schema::Artifact &artifact) {
  std::string names;
  for (const schema::KernelLibrary *library : *artifact.libraries())
    names += (names.empty() ? "" : ", ") + library->name()->str();
  return names;
}

Result<uint32_t> KernelLibrary::choose(const schema::Artifact &artifact,
                                       uint64_t cpuFeatures,
                                       const std::string &name) {
  const auto &libraries = *artifact.libraries();
  const schema::KernelLibrary *closest = nullptr;
  uint64_t closestMissing = 0;
  for (uint32_t index = 0; index < libraries.size(); ++index) {
    const schema::KernelLibrary *library = libraries[index];
    if (!name.empty() && library->name()->str() != name)
      continue;
    uint64_t missing = library->features() & ~cpuFeatures;
    if (missing == 0)
      return index;
    if (!closest || std::popcount(missing) < std::popcount(closestMissing)) {
      closest = library;
      closestMissing = missing;
    }
  }
  if (!closest)
    return Status(StatusCode::notFound,
                  "artifact has no kernel library '" + name +
                      "', expected one of: " + libraryNames(artifact));
  return Status(StatusCode::incompatible,
                "this CPU lacks " + cpuFeatureNames(closestMissing) +
                    ", needed by the kernel library '" +
                    closest->name()->str() +
                    "' (the artifact has: " + libraryNames(artifact) +
                    "); build it for this CPU with 'dsv2-compile --target'");
}

/// Everything the dynamic loader does not check by itself.
static Status checkElf(const schema::KernelLibrary &library) {
  Elf64_Ehdr header;
  const auto &object = *library.object();
  bool valid = object.size() >= sizeof(header);
  if (valid) {
    std::memcpy(&header, object.data(), sizeof(header));
    valid = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
            header.e_ident[EI_CLASS] == ELFCLASS64 &&
            header.e_machine == EM_X86_64 && header.e_type == ET_DYN;
  }
  if (valid)
    return Status();
  return Status(StatusCode::incompatible,
                "kernel library '" + library.name()->str() +
                    "' is not a shared object for x86-64; build the artifact "
                    "for this machine");
}

static Status systemError(const std::string &what) {
  return Status(StatusCode::ioError,
                what + ": " + std::generic_category().message(errno));
}

static Status writeAll(int descriptor, const uint8_t *data, size_t bytes) {
  while (bytes != 0) {
    ssize_t written = ::write(descriptor, data, bytes);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return systemError("cannot copy a kernel library to memory");
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return Status();
}

/// A path for the loader. It takes a path it knows for the library it knows,
/// and a library that cannot be unloaded stays known after its descriptor is
/// closed: then the descriptor gets another number.
static Result<std::string> pathOf(int &descriptor) {
  for (;;) {
    std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    void *known = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!known)
      return path;
    ::dlclose(known);
    int next = ::fcntl(descriptor, F_DUPFD_CLOEXEC, descriptor + 1);
    if (next < 0)
      return systemError("cannot open memory for a kernel library");
    ::close(std::exchange(descriptor, next));
  }
}

Result<KernelLibrary> KernelLibrary::load(const schema::Artifact &artifact,
                                          uint32_t index) {
  const schema::KernelLibrary &source = *artifact.libraries()->Get(index);
  DSV2_RETURN_IF_ERROR(checkElf(source));

  KernelLibrary library;
  library.libraryName = source.name()->str();
  library.descriptor = ::memfd_create("dsv2-kernels", MFD_CLOEXEC);
  if (library.descriptor < 0)
    return systemError("cannot create memory for a kernel library");
  DSV2_RETURN_IF_ERROR(writeAll(library.descriptor, source.object()->data(),
                                source.object()->size()));

  // Kernels may call libm, which a program that has no use for it itself may
  // not have loaded.
  (void)::dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL);
  Result<std::string> path = pathOf(library.descriptor);
  DSV2_RETURN_IF_ERROR(path.status());
  library.handle = ::dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library.handle) {
    const char *reason = ::dlerror();
    return Status(StatusCode::incompatible,
                  "cannot load the kernel library '" + library.libraryName +
                      "': " + (reason ? reason : "unknown reason"));
  }
  for (const schema::Kernel *kernel : *artifact.kernels()) {
    void *symbol = ::dlsym(library.handle, kernel->symbol()->c_str());
    if (!symbol)
      return Status(StatusCode::dataLoss,
                    "kernel library '" + library.libraryName +
                        "' has no kernel '" + kernel->symbol()->str() +
                        "'; build the artifact again");
    library.functions.push_back(reinterpret_cast<KernelFunction>(symbol));
  }
  return library;
}

KernelLibrary::KernelLibrary(KernelLibrary &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)),
      descriptor(std::exchange(other.descriptor, -1)),
      libraryName(std::move(other.libraryName)),
      functions(std::move(other.functions)) {}

KernelLibrary &KernelLibrary::operator=(KernelLibrary &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(descriptor, other.descriptor);
  std::swap(libraryName, other.libraryName);
  std::swap(functions, other.functions);
  return *this;
}

KernelLibrary::~KernelLibrary() {
  if (handle)
    ::dlclose(handle);
  if (descriptor >= 0)
    ::close(descriptor);
}
