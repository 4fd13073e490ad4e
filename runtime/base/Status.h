//===- Status.h - Errors as values ------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The one error type of everything that is not MLIR: a code and one clear
// line. No exception crosses a function that returns one of these.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_BASE_STATUS_H
#define DSV2_RUNTIME_BASE_STATUS_H

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace dsv2 {

/// What kind of thing went wrong; the C API exposes the same values.
enum class StatusCode {
  ok = 0,
  invalidArgument, ///< the caller asked for something that cannot be
  notFound,        ///< a file, tensor or symbol is absent
  dataLoss,        ///< a file is truncated, corrupt or not of this format
  incompatible,    ///< right format, but another version, target or CPU
  exhausted,       ///< memory, context or disk is full
  ioError,         ///< the operating system refused
  internal,        ///< a bug in dsv2
};

/// Success, or a code with one line that says what was expected, what was
/// found and what to do.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(StatusCode code, std::string message)
      : statusCode(code), text(std::move(message)) {
    assert(code != StatusCode::ok && "success carries no message");
  }

  bool ok() const { return statusCode == StatusCode::ok; }
  StatusCode code() const { return statusCode; }
  const std::string &message() const { return text; }

private:
  StatusCode statusCode = StatusCode::ok;
  std::string text;
};

/// A value, or the status that explains its absence.
template <typename T>
class [[nodiscard]] Result {
public:
  Result(T value) : stored(std::move(value)) {}
  Result(Status status) : failure(std::move(status)) {
    assert(!failure.ok() && "a failed result needs a failed status");
  }

  bool ok() const { return stored.has_value(); }
  const Status &status() const { return failure; }

  T &operator*() & { return *stored; }
  const T &operator*() const & { return *stored; }
  T &&operator*() && { return *std::move(stored); }
  T *operator->() { return &*stored; }
  const T *operator->() const { return &*stored; }

private:
  std::optional<T> stored;
  Status failure;
};

} // namespace dsv2

/// Returns from the enclosing function when `expr`, a Status, failed.
#define DSV2_RETURN_IF_ERROR(expr)                                             \
  do {                                                                         \
    if (::dsv2::Status dsv2Status = (expr); !dsv2Status.ok())                  \
      return dsv2Status;                                                       \
  } while (false)

#endif // DSV2_RUNTIME_BASE_STATUS_H
