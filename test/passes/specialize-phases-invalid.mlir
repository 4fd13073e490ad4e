// RUN: dsv2-opt %s --dsv2-specialize-phases --split-input-file --verify-diagnostics

// A call would dangle.

// expected-error @below {{expects @forward to have no callers, as it is replaced by @decode and @prefill}}
func.func @forward() {
  return
}

func.func @caller() {
  call @forward() : () -> ()
  return
}

// -----

func.func @forward() {
  return
}

// expected-error @below {{expects @prefill to be free for a clone of @forward; rename it}}
func.func @prefill() {
  return
}
