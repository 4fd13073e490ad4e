//===- DSV2Dialect.td - The dsv2 dialect -------------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2DIALECT_TD
#define DSV2_DIALECT_DSV2DIALECT_TD

include "mlir/IR/DialectBase.td"

def DSV2_Dialect : Dialect {
  let name = "dsv2";
  let cppNamespace = "::mlir::dsv2";
  let summary = "Latent attention and expert routing on tensors";
  let description = [{
    Operations that state what a DeepSeek-V2 model computes, before any decision
    about how. An operation exists only where upstream has none; contractions of
    plain tensors, reshapes and elementwise arithmetic are `linalg`, `tensor` and
    `arith`. Every operation has a decomposition to those dialects
    (`dsv2-to-linalg`), which is its reference semantics.

    Letters in the descriptions: T new tokens of a step, B sequences, S context
    tokens of all sequences, R rows whose logits are wanted, H heads.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  // On a function: the most query tokens a sequence has in one step.
  let discardableAttrs = (ins "::mlir::IntegerAttr":$max_query_tokens);
  let hasOperationAttrVerify = 1;
  let extraClassDeclaration = [{
    void registerAttributes();
    void registerTypes();
  }];
}

#endif // DSV2_DIALECT_DSV2DIALECT_TD
