//===- Handles.h - What the C API's pointers point to -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Handles share ownership of what they were made from, so that they can be
// released in any order.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_API_HANDLES_H
#define DSV2_RUNTIME_API_HANDLES_H

#include "runtime/base/Status.h"
#include "runtime/engine/Model.h"
#include "runtime/engine/Session.h"
#include "runtime/include/dsv2/dsv2.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

struct dsv2_instance {
  std::shared_ptr<dsv2::ThreadPool> pool;
  dsv2::NumaPlacement placement;
};

struct dsv2_model {
  std::shared_ptr<const dsv2::Model> model;
};

struct dsv2_session {
  std::unique_ptr<dsv2::Session> session;
  std::vector<dsv2::SequenceInput> inputs; ///< of the current step
};

struct dsv2_sampler {
  dsv2::Sampler sampler;
};

namespace dsv2::api {

/// NULL for success.
dsv2_status_t toHandle(Status status) noexcept;
/// For when there is no memory left to say so.
dsv2_status_t outOfMemory() noexcept;

/// Runs `body`, which returns a Status, and lets no exception out.
template <typename Body>
dsv2_status_t guarded(Body body) noexcept {
  try {
    return toHandle(body());
  } catch (const std::bad_alloc &) {
    return outOfMemory();
  } catch (...) {
    return toHandle(
        Status(StatusCode::internal, "unexpected exception in dsv2"));
  }
}

inline Status missing(const char *argument) {
  return Status(StatusCode::invalidArgument,
                std::string(argument) + " is NULL, expected a pointer");
}

#define DSV2_REQUIRE(argument)                                                 \
  do {                                                                         \
    if (!(argument))                                                           \
      return ::dsv2::api::missing(#argument);                                  \
  } while (false)

/// Overwrites the defaults in `options` with as many fields as the caller's
/// version of the struct has.
template <typename Options>
Status readOptions(const Options *given, Options &options) {
  if (!given)
    return Status();
  if (given->struct_size < sizeof(size_t))
    return Status(StatusCode::invalidArgument,
                  "struct_size of the options is " +
                      std::to_string(given->struct_size) +
                      ", expected what the _INIT macro sets");
  std::memcpy(&options, given, std::min(given->struct_size, sizeof(options)));
  return Status();
}

/// Writes as many fields as the caller's version of the struct has.
template <typename Info>
Status writeInfo(Info info, Info *out) {
  size_t size = out->struct_size;
  if (size < sizeof(size_t))
    return Status(StatusCode::invalidArgument,
                  "struct_size of the result is " + std::to_string(size) +
                      ", expected what the _INIT macro sets");
  info.struct_size = size;
  std::memcpy(out, &info, std::min(size, sizeof(info)));
  return Status();
}

} // namespace dsv2::api

#endif // DSV2_RUNTIME_API_HANDLES_H
