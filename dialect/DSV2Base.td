//===- DSV2Base.td - What all operation files share --------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2BASE_TD
#define DSV2_DIALECT_DSV2BASE_TD

include "dialect/DSV2Attributes.td"
include "dialect/DSV2Types.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class DSV2_Op<string mnemonic, list<Trait> traits = []>
    : Op<DSV2_Dialect, mnemonic, traits>;

/// An operation that computes each row of its results (the first dimension)
/// from the same row of its tensor operands that have that dimension. It may be
/// computed for any block of rows alone.
def DSV2_RowWise : NativeOpTrait<"RowWise"> {
  let cppNamespace = "::mlir::dsv2::OpTrait";
}

def DSV2_I4 : I<4>;
/// A matrix of weights in any number format, or a stack of them.
def DSV2_Weight : AnyTypeOf<[RankedTensorOf<[AnyFloat, I8, DSV2_I4]>]>;
/// Activations: f32, or rows packed for a matrix product.
def DSV2_Activation : RankedTensorOf<[F32, BF16, I8, F8E4M3FN]>;
def DSV2_Vector : TensorRankOf<[F32, F16, BF16], [1]>;

def DSV2_Layer : ConfinedAttr<I64Attr, [IntNonNegative]>;

#endif // DSV2_DIALECT_DSV2BASE_TD
