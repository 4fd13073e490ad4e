//===- AtomicFile.cpp - Files that appear whole or not at all -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/AtomicFile.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace dsv2;

/// One write call moves at most this much, below the limit of the kernel.
static constexpr size_t largestWrite = size_t(1) << 30;

static std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status AtomicFile::failure(const char *action, int error) const {
  bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return Status(full ? StatusCode::exhausted : StatusCode::ioError,
                std::string("cannot ") + action + " '" + target +
                    "': " + std::generic_category().message(error));
}

Result<AtomicFile> AtomicFile::create(const std::string &path) {
  static std::atomic<unsigned> counter = 0;
  AtomicFile file;
  file.target = path;

  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Status(StatusCode::invalidArgument,
                  "cannot create '" + path +
                      "': something that is not a regular file has that name");
  // A file left by a killed process may have taken the name: try the next.
  for (int attempt = 0; attempt < 100; ++attempt) {
    file.temporary = path + ".tmp-" + std::to_string(::getpid()) + "-" +
                     std::to_string(counter++);
    file.descriptor = ::open(file.temporary.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.descriptor >= 0)
      return file;
    if (errno != EEXIST)
      break;
  }
  int error = errno;
  file.temporary.clear();
  return file.failure("create", error);
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : descriptor(std::exchange(other.descriptor, -1)), end(other.end),
      pending(std::move(other.pending)), blockBytes(other.blockBytes),
      target(std::move(other.target)),
      temporary(std::exchange(other.temporary, {})) {}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  std::swap(descriptor, other.descriptor);
  std::swap(end, other.end);
  std::swap(pending, other.pending);
  std::swap(blockBytes, other.blockBytes);
  std::swap(target, other.target);
  std::swap(temporary, other.temporary);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (descriptor >= 0)
    ::close(std::exchange(descriptor, -1));
  if (!temporary.empty())
    ::unlink(temporary.c_str());
  temporary.clear();
}

Status AtomicFile::writeAt(uint64_t offset,
                           std::span<const std::byte> bytes) const {
  if (descriptor < 0)
    return Status(StatusCode::internal,
                  "'" + target + "' was written to after its end");
  uint64_t limit = std::numeric_limits<off_t>::max();
  if (offset > limit || bytes.size() > limit - offset)
    return failure("write", EFBIG);
  while (!bytes.empty()) {
    ssize_t written =
        ::pwrite(descriptor, bytes.data(), std::min(bytes.size(), largestWrite),
                 static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return failure("write", written < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return Status();
}

Status AtomicFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    size_t room = blockBytes - end % blockBytes;
    // Whole blocks need no copy.
    if (pending.empty() && bytes.size() >= room) {
      size_t count = room + (bytes.size() - room) / blockBytes * blockBytes;
      DSV2_RETURN_IF_ERROR(writeAt(end, bytes.first(count)));
      end += count;
      bytes = bytes.subspan(count);
      continue;
    }
    std::span<const std::byte> part = bytes.first(std::min(bytes.size(), room));
    pending.insert(pending.end(), part.begin(), part.end());
    end += part.size();
    bytes = bytes.subspan(part.size());
    if (part.size() == room)
      DSV2_RETURN_IF_ERROR(flush());
  }
  return Status();
}

Status AtomicFile::flush() {
  DSV2_RETURN_IF_ERROR(writeAt(end - pending.size(), pending));
  pending.clear();
  return Status();
}

Status AtomicFile::append(std::string_view text) {
  return append(std::as_bytes(std::span(text.data(), text.size())));
}

Status AtomicFile::padTo(uint64_t alignment) {
  static constexpr std::byte zeros[4096] = {};
  uint64_t missing = alignment ? (alignment - end % alignment) % alignment : 0;
  while (missing != 0) {
    uint64_t count = std::min<uint64_t>(missing, sizeof(zeros));
    DSV2_RETURN_IF_ERROR(append(std::span(zeros, count)));
    missing -= count;
  }
  return Status();
}

Status AtomicFile::commit() {
  if (descriptor < 0)
    return Status(StatusCode::internal,
                  "'" + target + "' was committed after its end");
  DSV2_RETURN_IF_ERROR(flush());
  int error = ::fsync(descriptor) == 0 ? 0 : errno;
  // Some file systems report a full disk only here.
  if (::close(std::exchange(descriptor, -1)) != 0 && error == 0)
    error = errno;
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0)
    error = errno;
  if (error != 0) {
    discard();
    return failure("finish", error);
  }
  temporary.clear();

  // The name itself is durable only once the directory is.
  int directory =
      ::open(directoryOf(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return Status();
}
