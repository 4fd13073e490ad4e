//===- TileEmulator.h - AMX on a CPU that lacks it --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Executes the tile instructions of kernels in a handler of SIGILL, so that
// they can be tested anywhere. Follows the operations in Intel's manual
// (volume 2, LDTILECFG, TILELOADD, TILESTORED, TILEZERO, TILERELEASE, TDPBF16PS
// and TDPB[SU][SU]D), including the faults: a tile that is not configured, or
// shapes that do not fit, end the process as they would there.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_X86_TILEEMULATOR_H
#define DSV2_TEST_LOWERING_X86_TILEEMULATOR_H

#include <cstdint>

namespace dsv2::test {

/// From now on this process executes tile instructions in software, where the
/// CPU does not.
void emulateTiles();

/// How many have been executed since.
uint64_t emulatedTileInstructions();

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_X86_TILEEMULATOR_H
