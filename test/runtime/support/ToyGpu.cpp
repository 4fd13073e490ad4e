//===- ToyGpu.cpp - A small artifact for a GPU ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/runtime/support/ToyArtifact.h"

using namespace dsv2;
using namespace dsv2::test;

/// logits[r][v] = weight[v] + T + tokens[logit_rows[r]]: a block a row.
static constexpr const char *toyPtx = R"(
.version 8.1
.target sm_90a
.address_size 64

.visible .entry toy(
	.param .u64 .ptr .global .align 1 toy_param_0,
	.param .u64 .ptr .global .align 1 toy_param_1,
	.param .u64 .ptr .global .align 1 toy_param_2,
	.param .u64 .ptr .global .align 1 toy_param_3,
	.param .u64 .ptr .global .align 1 toy_param_4
)
.maxntid 32
{
	.reg .pred 	%p<2>;
	.reg .b32 	%r<20>;
	.reg .b64 	%rd<20>;

	ld.param.b64 	%rd1, [toy_param_0];
	ld.param.b64 	%rd2, [toy_param_1];
	ld.param.b64 	%rd3, [toy_param_2];
	ld.param.b64 	%rd4, [toy_param_3];
	ld.param.b64 	%rd5, [toy_param_4];
	mov.u32 	%r1, %tid.x;
	mov.u32 	%r2, %ctaid.x;
	ld.global.b32 	%r3, [%rd5];
	ld.global.b32 	%r4, [%rd5+12];
	setp.ge.s32 	%p1, %r2, %r4;
	@%p1 bra 	$L__BB0_2;
	mul.wide.u32 	%rd6, %r2, 4;
	add.s64 	%rd7, %rd2, %rd6;
	ld.global.b32 	%r5, [%rd7];
	mul.wide.u32 	%rd8, %r5, 4;
	add.s64 	%rd9, %rd1, %rd8;
	ld.global.b32 	%r6, [%rd9];
	add.s32 	%r7, %r6, %r3;
	cvt.rn.f32.s32 	%r8, %r7;
	mul.wide.u32 	%rd10, %r1, 4;
	add.s64 	%rd11, %rd3, %rd10;
	ld.global.b32 	%r9, [%rd11];
	add.rn.f32 	%r10, %r9, %r8;
	shl.b32 	%r11, %r2, 5;
	add.s32 	%r12, %r11, %r1;
	mul.wide.u32 	%rd12, %r12, 4;
	add.s64 	%rd13, %rd4, %rd12;
	st.global.b32 	[%rd13], %r10;
$L__BB0_2:
	ret;
}
)";

void dsv2::test::makeToyForGpu(schema::ArtifactT &artifact) {
  artifact.libraries.clear();
  artifact.kernels.clear();
  auto kernel = std::make_unique<schema::KernelT>();
  kernel->symbol = "toy";
  kernel->gpu = std::make_unique<schema::GpuKernelT>();
  std::string ptx = toyPtx;
  kernel->gpu->ptx.assign(ptx.begin(), ptx.end());
  kernel->gpu->cubin = {0x7f, 'E', 'L', 'F'};
  kernel->gpu->bindings = 4;
  kernel->gpu->threads = 32;
  artifact.kernels.push_back(std::move(kernel));
  artifact.gpu = std::make_unique<schema::GpuTargetT>();
  artifact.gpu->name = "sm_90a";
  artifact.gpu->major = 9;
  for (auto &program : artifact.plan->programs) {
    program->dispatches.clear();
    program->dispatches.push_back(makeDispatch(
        ToyKernel::append, {1, 1, -1, schema::Dim::logit_rows},
        {batch(schema::BatchField::tokens),
         batch(schema::BatchField::logit_rows), weightAt(0), logitsBinding()}));
  }
}
