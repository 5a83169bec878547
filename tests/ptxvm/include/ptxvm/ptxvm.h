// SPDX-License-Identifier: MIT
/* ptxvm: C interface of the CPU PTX executor, for tests that read counters or change options.
 *
 * A test links libcudart_ptxvm.a instead of libcudart; it needs this header only to read counters
 * and counts of calls.
 */
#ifndef PTXVM_PTXVM_H
#define PTXVM_PTXVM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exact counts of what was executed. They describe PTX instructions, not SASS, and no time. */
typedef struct ptxvm_stats {
  uint64_t launches;
  uint64_t warp_instructions;      /* instructions issued, once per warp */
  uint64_t lane_instructions;      /* the same, once per active lane */
  uint64_t divergent_instructions; /* issued with fewer lanes than the warp had alive */
  uint64_t divergent_branches;     /* branches on which the active lanes split */
  uint64_t lane_int;               /* lane instructions by class */
  uint64_t lane_f16;
  uint64_t lane_f32;
  uint64_t lane_f64;
  uint64_t lane_mma;
  uint64_t lane_ldst_global;
  uint64_t lane_ldst_shared;
  uint64_t lane_ldst_other; /* param, local, const */
  uint64_t lane_shuffle;    /* shfl, vote, match, redux, activemask, elect */
  uint64_t lane_atomic;
  uint64_t lane_control;         /* branches, barriers, fences, calls, exits */
  uint64_t global_read_requests; /* warp-level load instructions that touched global memory */
  uint64_t global_read_sectors;  /* distinct 32-byte sectors, summed over the requests */
  uint64_t global_read_bytes;    /* bytes asked for by the lanes */
  uint64_t global_write_requests;
  uint64_t global_write_sectors;
  uint64_t global_write_bytes;
  uint64_t shared_requests;
  uint64_t shared_wavefronts;       /* with bank conflicts */
  uint64_t shared_wavefronts_ideal; /* what the same accesses cost without any conflict */
  uint64_t atomic_requests;
  uint64_t block_barriers;     /* completed bar.sync / barrier.sync */
  uint64_t registers_live_max; /* 32-bit registers live at once in the PTX: a lower bound only */
} ptxvm_stats;

/* Counters of the latest launch (also of one that failed). Returns its kernel's mangled name, NULL
 * if none. */
const char* ptxvm_last_launch_stats(ptxvm_stats* out);
/* Sum over every launch of this process so far; kernel may be NULL for all of them. 0 if none
 * matched. */
int ptxvm_total_stats(const char* kernel, ptxvm_stats* out);

/* Calls of the runtime, failed ones too. */
typedef struct ptxvm_calls {
  uint64_t allocations; /* those that allocate, free or pin memory, create or destroy streams or
                           events */
  uint64_t waits;       /* those that wait or ask whether to: synchronisations, queries, copies and
                           fills without a stream, copies of pageable memory on one */
  uint64_t stream_calls; /* on the given stream: launches, copies, fills, events, host functions */
  uint64_t other_stream_calls; /* the same on all other streams */
} ptxvm_calls;

/* Calls of this process so far. NULL is the default stream; the calls on a stream that was
 * destroyed count as those on other streams. */
void ptxvm_count_calls(const void* stream, ptxvm_calls* out);

/* Text of the latest launch failure ("" if there was none); cleared by ptxvm_clear_error. */
const char* ptxvm_last_error(void);
void ptxvm_clear_error(void);
/* Sets what the environment variable of this name sets (see README): e.g. ("PTXVM_SEED", "3"). 0
 * if unknown. */
int ptxvm_set_option(const char* name, const char* value);

#ifdef __cplusplus
}
#endif
#endif
