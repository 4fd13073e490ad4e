//===- CublasLtTypesTest.cpp - Declarations beside the toolkit's own ------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CublasLt.h"
#include "test/runtime/drivers/cuda/Signature.h"

#include <cublasLt.h>
#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;
namespace lt = dsv2::cuda::lt;

// Numbers.
static_assert(int{lt::success} == CUBLAS_STATUS_SUCCESS);
static_assert(int{lt::float32} == CUDA_R_32F);
static_assert(int{lt::bfloat16} == CUDA_R_16BF);
static_assert(int{lt::float8e4m3} == CUDA_R_8F_E4M3);
static_assert(int{lt::computeFloat32} == CUBLAS_COMPUTE_32F);
static_assert(int{lt::transposed} == CUBLAS_OP_T);
static_assert(int{lt::transposeA} == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(int{lt::fastAccumulation} == CUBLASLT_MATMUL_DESC_FAST_ACCUM);
static_assert(int{lt::maxWorkspaceBytes} ==
              CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);

// Layouts.
static_assert(sizeof(lt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(lt::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lt::Heuristic, algorithm) ==
              offsetof(cublasLtMatmulHeuristicResult_t, algo));
static_assert(offsetof(lt::Heuristic, workspaceBytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lt::Heuristic, state) ==
              offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(lt::Heuristic, waves) ==
              offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

TEST(CublasLtTypesTest, Signatures) {
#define SAME(name, parameters)                                                 \
  expectSame<std::remove_pointer_t<decltype(cuda::CublasLt::name)>,            \
             decltype(cublasLt##name)>("cublasLt" #name);
  DSV2_CUBLASLT_FUNCTIONS(SAME)
#undef SAME
}
