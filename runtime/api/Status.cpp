//===- Status.cpp - Statuses of the C API ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"

using namespace dsv2;

struct dsv2_status {
  dsv2_status_code_t code = DSV2_INTERNAL;
  std::string message;
};

static_assert(int(StatusCode::invalidArgument) == DSV2_INVALID_ARGUMENT &&
              int(StatusCode::notFound) == DSV2_NOT_FOUND &&
              int(StatusCode::dataLoss) == DSV2_DATA_LOSS &&
              int(StatusCode::incompatible) == DSV2_INCOMPATIBLE &&
              int(StatusCode::exhausted) == DSV2_EXHAUSTED &&
              int(StatusCode::ioError) == DSV2_IO_ERROR &&
              int(StatusCode::internal) == DSV2_INTERNAL);

/// Handed out when no status can be allocated. It has no contents of its own
/// and is never released.
static const char outOfMemoryMark = 0;

dsv2_status_t api::outOfMemory() noexcept {
  return reinterpret_cast<dsv2_status_t>(const_cast<char *>(&outOfMemoryMark));
}

dsv2_status_t api::toHandle(Status status) noexcept {
  if (status.ok())
    return nullptr;
  try {
    return new dsv2_status{static_cast<dsv2_status_code_t>(status.code()),
                           status.message()};
  } catch (...) {
    return outOfMemory();
  }
}

dsv2_status_code_t dsv2_status_code(dsv2_status_t status) {
  if (!status)
    return DSV2_OK;
  return status == api::outOfMemory() ? DSV2_EXHAUSTED : status->code;
}

const char *dsv2_status_message(dsv2_status_t status) {
  if (!status)
    return "";
  if (status == api::outOfMemory())
    return "out of memory; close other programs or use a smaller context";
  return status->message.c_str();
}

void dsv2_status_release(dsv2_status_t status) {
  if (status != api::outOfMemory())
    delete status;
}

const char *dsv2_version(void) { return DSV2_VERSION; }
