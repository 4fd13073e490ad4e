/*===- dsv2.h - The C API of the dsv2 runtime ------------------*- C -*-======*\
|*
|* SPDX-License-Identifier: Apache-2.0
|*
|* Runs .dsv2 artifacts: load a model, open a session, feed tokens of any number
|* of sequences, read logits. Pure C11.
|*
|* Conventions
|*   Errors      Functions that can fail return dsv2_status_t: NULL on success,
|*               otherwise an object to be released with dsv2_status_release.
|*               Nothing has changed when a function fails, unless it says so.
|*   Results     come last, as out_x, and are written only on success.
|*   Ownership   x_create / x_load gives an object that the caller releases with
|*               x_release (NULL is allowed). Objects keep alive what they were
|*               made from: the order of releases does not matter. Pointers that
|*               a function hands out belong to the object, for as long as each
|*               function says.
|*   Strings     UTF-8. Input text is a pointer and a number of bytes and needs
|*               no terminator; strings handed out as char * are terminated.
|*   Structs     begin with struct_size, set by the _INIT macro, so that later
|*               versions may add fields at the end.
|*   Threads     Different objects may be used from different threads at once,
|*               one object from one thread at a time; instances, models and
|*               tokenizers are immutable and may be shared freely. Steps of
|*               sessions of one instance share its threads and run one after
|*               another.
|*   Nothing is printed, no exception leaves, no environment variable is read,
|*   and there is no global state.
|*
\*===----------------------------------------------------------------------===*/

#ifndef DSV2_DSV2_H
#define DSV2_DSV2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ---- */

typedef enum dsv2_status_code_t {
  DSV2_OK = 0,
  DSV2_INVALID_ARGUMENT = 1, /* the caller asked for what cannot be */
  DSV2_NOT_FOUND = 2,        /* a file or symbol is absent */
  DSV2_DATA_LOSS = 3,        /* a file is truncated, corrupt or foreign */
  DSV2_INCOMPATIBLE = 4,     /* another version, target or CPU */
  DSV2_EXHAUSTED = 5,        /* memory, context or room for the result */
  DSV2_IO_ERROR = 6,         /* the operating system refused */
  DSV2_INTERNAL = 7          /* a bug in dsv2 */
} dsv2_status_code_t;

/* NULL is success. */
typedef struct dsv2_status *dsv2_status_t;

dsv2_status_code_t dsv2_status_code(dsv2_status_t status);

/* One line: what was expected, what was found, what to do. Valid until the
 * status is released; "" for success. */
const char *dsv2_status_message(dsv2_status_t status);

void dsv2_status_release(dsv2_status_t status);

/* The version of this library, "0.1.0". */
const char *dsv2_version(void);

/* ---- Instance: the threads ---- */

typedef struct dsv2_instance dsv2_instance_t;

/* On machines with several memory nodes: where pages of weights and sessions
 * come to lie when they are first used. */
typedef enum dsv2_numa_t {
  DSV2_NUMA_INHERIT = 0,    /* as the process was started */
  DSV2_NUMA_INTERLEAVE = 1, /* in turn on all nodes */
  DSV2_NUMA_LOCAL = 2       /* on the node of the thread that writes first */
} dsv2_numa_t;

typedef struct dsv2_instance_options_t {
  size_t struct_size;
  /* Threads that run a step, the caller's own included. 0: one for each
   * physical core this process may use, within its cgroup's CPU quota. */
  int32_t threads;
  /* Pins thread i to the i-th CPU of the process's affinity mask, physical
   * cores first. The calling thread is pinned only while a step runs. */
  bool pin_threads;
  dsv2_numa_t numa;
} dsv2_instance_options_t;

#define DSV2_INSTANCE_OPTIONS_INIT                                             \
  {sizeof(dsv2_instance_options_t), 0, true, DSV2_NUMA_INHERIT}

/* `options` may be NULL for the defaults. */
dsv2_status_t dsv2_instance_create(const dsv2_instance_options_t *options,
                                   dsv2_instance_t **out_instance);
void dsv2_instance_release(dsv2_instance_t *instance);

int32_t dsv2_instance_threads(const dsv2_instance_t *instance);

/* Memory nodes of this machine; 0: unknown. */
int32_t dsv2_instance_numa_nodes(const dsv2_instance_t *instance);

/* ---- Model: a loaded artifact ---- */

typedef struct dsv2_model dsv2_model_t;

typedef struct dsv2_model_options_t {
  size_t struct_size;
  /* Reads all weights once and compares their hashes. Artifacts with at most
   * 256 MiB of weights are always checked. */
  bool verify_weights;
  /* The kernels to use, such as "avx2". NULL: the best for this CPU. */
  const char *instruction_set;
  /* Reads the whole artifact while loading, on all threads, so that no step
   * waits for a page. For weights that fit into memory. */
  bool populate;
} dsv2_model_options_t;

#define DSV2_MODEL_OPTIONS_INIT                                                \
  {sizeof(dsv2_model_options_t), false, NULL, false}

/* Maps the artifact at `path` and loads the kernels for this CPU. `options` may
 * be NULL for the defaults. */
dsv2_status_t dsv2_model_load(dsv2_instance_t *instance, const char *path,
                              const dsv2_model_options_t *options,
                              dsv2_model_t **out_model);
void dsv2_model_release(dsv2_model_t *model);

/* Pointers are valid as long as the model. */
typedef struct dsv2_model_info_t {
  size_t struct_size;
  const char *name;
  const char *config_json;     /* the model's config.json, as given */
  const char *instruction_set; /* of the kernels in use, "avx512-bf16-vnni" */
  const char *target;          /* what the artifact was compiled for */
  const char *weights;         /* "checkpoint", "random:SEED" */
  const char *quantize;        /* "" when not quantised */
  int64_t vocab;               /* logits of a row */
  int64_t layers;
  uint64_t parameters;           /* in all */
  uint64_t activated_parameters; /* used by one token */
  uint64_t kv_bytes_per_token;   /* of the latent cache, all layers */
  uint64_t weight_bytes;         /* in the artifact */
  uint64_t arena_bytes;          /* working memory of a session, at most */
  int64_t max_position;          /* that the model was trained for */
  int64_t page_size;             /* tokens of a cache page */
  int32_t bos;                   /* -1: none */
  const int32_t *eos;            /* ids that end a generation */
  size_t eos_count;
  /* What one step may hold. */
  int64_t max_batch_tokens; /* new tokens, all sequences together */
  int64_t max_sequences;
  int64_t max_context; /* tokens of one sequence, new ones included */
  int64_t max_logit_rows;
  int64_t max_query_tokens; /* new tokens of one sequence */
  size_t program_count;     /* phases, see dsv2_model_program */
  bool has_tokenizer;
} dsv2_model_info_t;

#define DSV2_MODEL_INFO_INIT {.struct_size = sizeof(dsv2_model_info_t)}

/* `out_info->struct_size` must be set, as DSV2_MODEL_INFO_INIT does. */
dsv2_status_t dsv2_model_info(const dsv2_model_t *model,
                              dsv2_model_info_t *out_info);

/* One phase of the model. A step runs the first program whose max_query_tokens
 * covers the longest query of its batch. */
typedef struct dsv2_program_info_t {
  size_t struct_size;
  const char *name;      /* "decode", "prefill" */
  const char *attention; /* "latent", "expanded" */
  int64_t max_query_tokens;
  size_t dispatch_count;
} dsv2_program_info_t;

#define DSV2_PROGRAM_INFO_INIT {.struct_size = sizeof(dsv2_program_info_t)}

dsv2_status_t dsv2_model_program(const dsv2_model_t *model, size_t index,
                                 dsv2_program_info_t *out_info);

/* ---- Session: cache and working memory ---- */

typedef struct dsv2_session dsv2_session_t;

typedef struct dsv2_session_options_t {
  size_t struct_size;
  /* Tokens that the cache holds, all sequences together, rounded up to pages.
   * 0: max_sequences * max_context. Memory is taken when it is first used. */
  int64_t context_rows;
} dsv2_session_options_t;

#define DSV2_SESSION_OPTIONS_INIT {sizeof(dsv2_session_options_t), 0}

/* `options` may be NULL for the defaults. */
dsv2_status_t dsv2_session_create(dsv2_model_t *model,
                                  const dsv2_session_options_t *options,
                                  dsv2_session_t **out_session);
void dsv2_session_release(dsv2_session_t *session);

/* Rows of the cache: in all, and not yet taken by a sequence (whole pages). */
int64_t dsv2_session_context_rows(const dsv2_session_t *session);
int64_t dsv2_session_free_context_rows(const dsv2_session_t *session);

/* A sequence is a number, valid in its session until it is released. Any number
 * of sequences may exist; one that is empty takes no cache. */
typedef int64_t dsv2_sequence_t;

dsv2_status_t dsv2_sequence_create(dsv2_session_t *session,
                                   dsv2_sequence_t *out_sequence);
dsv2_status_t dsv2_sequence_release(dsv2_session_t *session,
                                    dsv2_sequence_t sequence);
/* Forgets the tokens from position `length` on. */
dsv2_status_t dsv2_sequence_truncate(dsv2_session_t *session,
                                     dsv2_sequence_t sequence, int64_t length);
/* Tokens in the cache. */
dsv2_status_t dsv2_sequence_length(const dsv2_session_t *session,
                                   dsv2_sequence_t sequence,
                                   int64_t *out_length);

typedef enum dsv2_logits_mode_t {
  DSV2_LOGITS_NONE = 0,
  DSV2_LOGITS_LAST = 1, /* of the last new token */
  DSV2_LOGITS_ALL = 2   /* of every new token */
} dsv2_logits_mode_t;

/* New tokens of one sequence. They follow those already in its cache. */
typedef struct dsv2_sequence_input_t {
  dsv2_sequence_t sequence;
  const int32_t *tokens;
  size_t token_count; /* at least 1 */
  dsv2_logits_mode_t logits;
} dsv2_sequence_input_t;

/* rows x vocab float32, row-major. Rows are in the order of the inputs and,
 * within one, of its tokens. Valid until the next step of the session. Where
 * NULL is given for it, logits are not copied from a GPU: dsv2_session_sample
 * then chooses tokens. */
typedef struct dsv2_logits_t {
  const float *data;
  int64_t rows;
  int64_t vocab;
} dsv2_logits_t;

/* Runs the model on one ragged batch: appends the tokens to their sequences and
 * computes the logits that were asked for. A sequence may appear once. */
dsv2_status_t dsv2_session_step(dsv2_session_t *session,
                                const dsv2_sequence_input_t *inputs,
                                size_t input_count, dsv2_logits_t *out_logits);

/* Appends a prompt of any length in steps of at most `chunk` tokens (0: as many
 * as a step may hold) and gives the logits of its last token. */
dsv2_status_t dsv2_session_evaluate(dsv2_session_t *session,
                                    dsv2_sequence_t sequence,
                                    const int32_t *tokens, size_t token_count,
                                    size_t chunk, dsv2_logits_t *out_logits);

/* ---- Profile ---- */

/* Time of one dispatch of one program, summed over the profiled steps. */
typedef struct dsv2_profile_entry_t {
  size_t struct_size;
  const char *program;     /* "decode" */
  const char *label;       /* place in the model, "layers.3.kv_b" */
  const char *kernel;      /* exported symbol */
  const char *description; /* "linear bf16 [3072, 2048]" */
  uint64_t runs;
  uint64_t nanoseconds; /* all runs together, until the last thread is done */
  uint64_t workgroups;  /* all runs together */
} dsv2_profile_entry_t;

#define DSV2_PROFILE_ENTRY_INIT {.struct_size = sizeof(dsv2_profile_entry_t)}

/* Starts from zero, or stops, timing every dispatch. Timing adds a barrier
 * after each dispatch. */
dsv2_status_t dsv2_session_profile_start(dsv2_session_t *session);
void dsv2_session_profile_stop(dsv2_session_t *session);

/* Entries in the order of programs and of their dispatches. */
size_t dsv2_session_profile_count(const dsv2_session_t *session);
dsv2_status_t dsv2_session_profile(const dsv2_session_t *session, size_t index,
                                   dsv2_profile_entry_t *out_entry);

/* ---- Sampler ---- */

typedef struct dsv2_sampler dsv2_sampler_t;

/* Applied in this order: repeat penalty, top-k, top-p, min-p, temperature. */
typedef struct dsv2_sampler_options_t {
  size_t struct_size;
  float temperature;     /* <= 0: the most likely token, always */
  int32_t top_k;         /* <= 0: all */
  float top_p;           /* >= 1: all */
  float min_p;           /* relative to the most likely token; <= 0: all */
  float repeat_penalty;  /* 1: none */
  int32_t repeat_window; /* tokens looked back on; 0: none, -1: all */
  uint64_t seed;
  int64_t vocab; /* ids from here on are never chosen; 0: no limit */
} dsv2_sampler_options_t;

#define DSV2_SAMPLER_OPTIONS_INIT                                              \
  {sizeof(dsv2_sampler_options_t), 0.8f, 40, 0.95f, 0.05f, 1.0f, 64, 0, 0}

/* The same options, logits and calls give the same tokens on every machine of
 * one kind. Equal logits: the lowest id comes first. */
dsv2_status_t dsv2_sampler_create(const dsv2_sampler_options_t *options,
                                  dsv2_sampler_t **out_sampler);
void dsv2_sampler_release(dsv2_sampler_t *sampler);

/* Tells the repeat penalty of tokens that were not sampled: the prompt. */
dsv2_status_t dsv2_sampler_accept(dsv2_sampler_t *sampler,
                                  const int32_t *tokens, size_t count);

/* Chooses from one row of `vocab` logits and accepts the choice. */
dsv2_status_t dsv2_sampler_sample(dsv2_sampler_t *sampler, const float *logits,
                                  int64_t vocab, int32_t *out_token);

/* Chooses from row `row` of the logits of the session's last step, and accepts
 * the choice: the same token as dsv2_sampler_sample would give. A GPU lists the
 * best logits of each row itself; a whole row is copied only where they do not
 * decide, as with top_k <= 0. */
dsv2_status_t dsv2_session_sample(dsv2_session_t *session, int64_t row,
                                  dsv2_sampler_t *sampler, int32_t *out_token);

/* Forgets all tokens and starts the random numbers again. */
void dsv2_sampler_reset(dsv2_sampler_t *sampler);

/* ---- Text ---- */

typedef struct dsv2_tokenizer dsv2_tokenizer_t;

/* The tokenizer inside the artifact. */
dsv2_status_t dsv2_tokenizer_create(const dsv2_model_t *model,
                                    dsv2_tokenizer_t **out_tokenizer);
void dsv2_tokenizer_release(dsv2_tokenizer_t *tokenizer);

/* One more than the largest id; at most the vocab of the model. */
int64_t dsv2_tokenizer_vocab(const dsv2_tokenizer_t *tokenizer);

/* Whether the model has a chat format. */
bool dsv2_tokenizer_has_chat(const dsv2_tokenizer_t *tokenizer);

/* The ids that end an answer; valid as long as the tokenizer. */
const int32_t *dsv2_tokenizer_stop_ids(const dsv2_tokenizer_t *tokenizer,
                                       size_t *out_count);

/* Whether the id is a control token. */
bool dsv2_tokenizer_is_special(const dsv2_tokenizer_t *tokenizer,
                               int32_t token);

/* The bytes of one token, perhaps a part of a character, without terminator;
 * none for an id without token. Valid as long as the tokenizer. */
const char *dsv2_tokenizer_token(const dsv2_tokenizer_t *tokenizer,
                                 int32_t token, size_t *out_bytes);

typedef enum dsv2_encode_flags_t {
  DSV2_ENCODE_PLAIN = 0,
  DSV2_ENCODE_ADD_SPECIAL = 1,  /* bos and eos, where the model has them */
  DSV2_ENCODE_PARSE_SPECIAL = 2 /* control tokens in the text are tokens */
} dsv2_encode_flags_t;

/* Writes at most `capacity` ids to `tokens` and their number to `out_count`.
 * When there are more, fails with DSV2_EXHAUSTED, and `out_count` says how
 * many: a call with capacity 0 asks for the number. */
dsv2_status_t dsv2_tokenizer_encode(const dsv2_tokenizer_t *tokenizer,
                                    const char *text, size_t bytes,
                                    uint32_t flags, int32_t *tokens,
                                    size_t capacity, size_t *out_count);

/* Writes at most `capacity` bytes of text (no terminator), in the same way. */
dsv2_status_t dsv2_tokenizer_decode(const dsv2_tokenizer_t *tokenizer,
                                    const int32_t *tokens, size_t count,
                                    bool skip_special, char *text,
                                    size_t capacity, size_t *out_bytes);

typedef struct dsv2_chat_message_t {
  const char *role; /* "system", "user" or "assistant" */
  const char *content;
  size_t content_bytes;
} dsv2_chat_message_t;

typedef enum dsv2_chat_flags_t {
  DSV2_CHAT_WHOLE = 0,    /* from its beginning to where the answer begins */
  DSV2_CHAT_CONTINUE = 1, /* the messages follow an answer in the cache */
  DSV2_CHAT_ANSWER_ENDED = 2, /* ... and so does the id that ended it */
  DSV2_CHAT_NO_PROMPT = 4     /* ends after the last message */
} dsv2_chat_flags_t;

/* The ids of a conversation, or of more of it, in the format of the model.
 * Sizes as for dsv2_tokenizer_encode. */
dsv2_status_t dsv2_tokenizer_encode_chat(const dsv2_tokenizer_t *tokenizer,
                                         const dsv2_chat_message_t *messages,
                                         size_t message_count, uint32_t flags,
                                         int32_t *tokens, size_t capacity,
                                         size_t *out_count);

/* Turns ids into text one by one and holds back incomplete characters. */
typedef struct dsv2_text_stream dsv2_text_stream_t;

dsv2_status_t dsv2_text_stream_create(const dsv2_tokenizer_t *tokenizer,
                                      bool skip_special,
                                      dsv2_text_stream_t **out_stream);
void dsv2_text_stream_release(dsv2_text_stream_t *stream);

/* Text that became complete with `token`, perhaps none. Valid until the next
 * call on the stream. */
dsv2_status_t dsv2_text_stream_push(dsv2_text_stream_t *stream, int32_t token,
                                    const char **out_text, size_t *out_bytes);

/* What is still held back: U+FFFD for an incomplete character. The stream may
 * be used again. */
dsv2_status_t dsv2_text_stream_finish(dsv2_text_stream_t *stream,
                                      const char **out_text, size_t *out_bytes);

#ifdef __cplusplus
}
#endif

#endif /* DSV2_DSV2_H */
