/*===- toy_kernels.c - Kernels of the toy model ------------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0
|*
|* The toy model stores (token, position) as the cache row of each token; its
|* logits are sum over the context of token * (position + 1), plus a weight for
|* each id. Whatever is wrong with rows, pages, positions, offsets or order
|* changes them. The other kernels exercise the executor.
|*
\*===----------------------------------------------------------------------===*/

#include <math.h>
#include <stdint.h>

enum { vocab = 32, pageSize = 4, pagesPerSequence = 16 };

typedef void *const *Bindings;

/* tokens, positions, cache_rows, cache -> cache */
void toy_append(Bindings b, const int64_t *dims, int64_t workgroup) {
  const int32_t *tokens = b[0], *positions = b[1], *rows = b[2];
  float *cache = b[3];
  (void)dims;
  cache[2 * rows[workgroup]] = (float)tokens[workgroup];
  cache[2 * rows[workgroup] + 1] = (float)positions[workgroup];
}

/* positions, token_sequence, page_table, context_lengths, query_offsets, cache
 * -> sums */
void toy_sum_pages(Bindings b, const int64_t *dims, int64_t workgroup) {
  const int32_t *positions = b[0], *sequences = b[1], *pages = b[2];
  const int32_t *lengths = b[3], *offsets = b[4];
  const float *cache = b[5];
  float *sums = b[6];
  int32_t sequence = sequences[workgroup];
  float sum = 0;
  (void)dims;
  if (workgroup < offsets[sequence] || workgroup >= offsets[sequence + 1])
    sum = NAN;
  for (int32_t at = 0; at <= positions[workgroup]; ++at) {
    int32_t page = pages[sequence * pagesPerSequence + at / pageSize];
    const float *row = cache + 2 * (page * pageSize + at % pageSize);
    sum += at < lengths[sequence] ? row[0] * (row[1] + 1) : NAN;
  }
  sums[workgroup] = sum;
}

/* positions, token_sequence, context_rows, context_sequence, context_position,
 * context_offsets, cache -> sums */
void toy_sum_context(Bindings b, const int64_t *dims, int64_t workgroup) {
  const int32_t *positions = b[0], *sequences = b[1], *rows = b[2];
  const int32_t *contextSequence = b[3], *contextPosition = b[4];
  const int32_t *offsets = b[5];
  const float *cache = b[6];
  float *sums = b[7];
  float sum = 0;
  for (int64_t at = 0; at < dims[2]; ++at) {
    int32_t sequence = contextSequence[at];
    if (at < offsets[sequence] || at >= offsets[sequence + 1])
      sum = NAN;
    if (sequence == sequences[workgroup] &&
        contextPosition[at] <= positions[workgroup])
      sum += cache[2 * rows[at]] * (cache[2 * rows[at] + 1] + 1);
  }
  sums[workgroup] = sum;
}

/* logit_rows, sums, weight [vocab], constant {0} -> logits; workgroups of 8
 * ids; adds exp(constant), for the sake of calling libm */
void toy_logits(Bindings b, const int64_t *dims, int64_t workgroup) {
  const int32_t *rows = b[0];
  const float *sums = b[1], *weight = b[2], *constant = b[3];
  float *logits = b[4];
  (void)dims;
  int64_t row = workgroup / (vocab / 8), first = workgroup % (vocab / 8) * 8;
  for (int64_t id = first; id < first + 8; ++id)
    logits[row * vocab + id] = sums[rows[row]] + weight[id] + expf(constant[0]);
}

/* in, out, {n}: every element of out depends on many of in */
void toy_mix(Bindings b, const int64_t *dims, int64_t workgroup) {
  const uint32_t *in = b[0];
  uint32_t *out = b[1];
  int32_t n = *(const int32_t *)b[2];
  uint32_t value = 0;
  (void)dims;
  for (int32_t step = 1; step < n; step *= 2)
    value = value * 31 + in[(workgroup + step) % n];
  out[workgroup] = value + 1;
}

/* out: counts how often each workgroup runs */
void toy_count(Bindings b, const int64_t *dims, int64_t workgroup) {
  int32_t *out = b[0];
  (void)dims;
  ++out[workgroup];
}

/* tokens, out: out = the first token, for indirect counts */
void toy_first_token(Bindings b, const int64_t *dims, int64_t workgroup) {
  (void)dims;
  (void)workgroup;
  *(int32_t *)b[1] = *(const int32_t *)b[0];
}
