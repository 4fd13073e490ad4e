//===- MappedFile.cpp - A file as read-only memory ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/MappedFile.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace dsv2;

static std::string systemMessage(int error) {
  return std::generic_category().message(error);
}

static Status openError(const std::string &path, int error) {
  StatusCode code = error == ENOENT || error == ENOTDIR ? StatusCode::notFound
                    : error == ENOMEM                   ? StatusCode::exhausted
                                                        : StatusCode::ioError;
  return Status(code, "cannot read '" + path + "': " + systemMessage(error));
}

Result<MappedFile> MappedFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return openError(path, errno);

  struct stat info;
  if (::fstat(descriptor, &info) != 0) {
    int error = errno;
    ::close(descriptor);
    return openError(path, error);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return Status(StatusCode::invalidArgument,
                  "cannot read '" + path +
                      "': expected a regular file, found a " +
                      (S_ISDIR(info.st_mode) ? "directory" : "special file"));
  }

  MappedFile file;
  file.fileName = path;
  file.byteCount = static_cast<size_t>(info.st_size);
  if (file.byteCount != 0) { // mmap refuses empty ranges
    void *mapped =
        ::mmap(nullptr, file.byteCount, PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) {
      int error = errno;
      file.byteCount = 0;
      ::close(descriptor);
      return openError(path, error);
    }
    file.address = static_cast<const std::byte *>(mapped);
  }
  ::close(descriptor); // the mapping keeps the file open
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : address(std::exchange(other.address, nullptr)),
      byteCount(std::exchange(other.byteCount, 0)),
      fileName(std::move(other.fileName)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(address, other.address);
  std::swap(byteCount, other.byteCount);
  std::swap(fileName, other.fileName);
  return *this;
}

MappedFile::~MappedFile() {
  if (address)
    ::munmap(const_cast<std::byte *>(address), byteCount);
}

static int adviceOf(MappedFile::Access access) {
  switch (access) {
  case MappedFile::Access::sequential:
    return MADV_SEQUENTIAL;
  case MappedFile::Access::random:
    return MADV_RANDOM;
  case MappedFile::Access::soon:
    return MADV_WILLNEED;
  case MappedFile::Access::notAgain:
    return MADV_DONTNEED;
  case MappedFile::Access::inHugePages:
    return MADV_HUGEPAGE;
  }
  return MADV_NORMAL;
}

void MappedFile::advise(Access access, size_t offset, size_t size) const {
  advisePages(adviceOf(access), offset, size);
}

void MappedFile::populate(size_t offset, size_t size) const {
  advisePages(MADV_POPULATE_READ, offset, size);
}

void MappedFile::advisePages(int advice, size_t offset, size_t size) const {
  if (!address || offset >= byteCount)
    return;
  size = std::min(size, byteCount - offset);
  static const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  size_t begin = offset / page * page;
  // Only hints: a kernel that does not know one reads pages when they are used.
  (void)::madvise(const_cast<std::byte *>(address + begin),
                  offset + size - begin, advice);
}
