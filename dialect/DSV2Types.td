//===- DSV2Types.td - The batch and the latent cache -------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2TYPES_TD
#define DSV2_DIALECT_DSV2TYPES_TD

include "dialect/DSV2Dialect.td"
include "mlir/IR/AttrTypeBase.td"

class DSV2_Type<string name, string mnemonicText>
    : TypeDef<DSV2_Dialect, name> {
  let mnemonic = mnemonicText;
}

def DSV2_BatchType : DSV2_Type<"Batch", "batch"> {
  let summary = "a ragged batch of new tokens";
  let description = [{
    T new tokens of B sequences: their positions, where each sequence's tokens
    start, how long each context is, the page table of the cache, and the rows
    whose logits are wanted. `dsv2.batch_get` reads one of its arrays; the arrays
    are listed in `runtime/schema/artifact.fbs`.
  }];
}

def DSV2_LatentCacheType : DSV2_Type<"LatentCache", "latent_cache"> {
  let summary = "the paged latent cache of all layers";
  let description = [{
    A value: operations take it and return its successor. Being opaque, it is
    updated in place. A row holds `latent` elements of the normalized latent and
    then `rope` elements of the rotated key; `page` rows are contiguous.

    Elements are f32 or bf16. With i8, each 128 elements of the latent are
    rounded to `max|x| / 127` times an integer, the key is bf16, and a row ends
    with the f32 scales: 656 instead of 1152 bytes for 512 + 64. With f8E4M3FN
    they are `max|x| / 448` times a number of that type, and the scales lie
    before the key.

    Example: `!dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>`
  }];
  let parameters = (ins "int64_t":$latent, "int64_t":$rope,
                        "::mlir::Type":$elementType, "int64_t":$layers,
                        "int64_t":$page);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // DSV2_DIALECT_DSV2TYPES_TD
