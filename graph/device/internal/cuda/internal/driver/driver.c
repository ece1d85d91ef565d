//go:build gpu

#include "driver.h"

#include <stdint.h>

CUresult hd_launch(CUcontext ctx, CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned block, unsigned shared,
                   CUstream stream, void *arguments, size_t bytes) {
  // A goroutine may come on any thread. A thread keeps its context, so this is cheap from the second time on.
  CUresult r = cuCtxSetCurrent(ctx);
  if (r != CUDA_SUCCESS) return r;
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, arguments, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  return cuLaunchKernel(f, gx, gy, gz, block, 1, 1, shared, stream, NULL, extra);
}

CUresult hd_allow_shared(CUcontext ctx, CUfunction f, unsigned shared) {
  CUresult r = cuCtxSetCurrent(ctx);
  return r != CUDA_SUCCESS ? r : cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)shared);
}

CUresult hd_capture(CUstream stream) { return cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL); }

CUresult hd_captured(CUstream stream, CUgraphExec *exec) {
  CUgraph graph = NULL;
  CUresult r = cuStreamEndCapture(stream, &graph);
  if (r != CUDA_SUCCESS || exec == NULL) {
    if (graph != NULL) cuGraphDestroy(graph);
    return r;
  }
  r = cuGraphInstantiate(exec, graph, 0);
  CUresult destroyed = cuGraphDestroy(graph);
  return r != CUDA_SUCCESS ? r : destroyed;
}

CUresult hd_replay(CUcontext ctx, CUgraphExec exec, CUstream stream) {
  CUresult r = cuCtxSetCurrent(ctx);
  return r != CUDA_SUCCESS ? r : cuGraphLaunch(exec, stream);
}

CUresult hd_module_load(CUmodule *m, const char *ptx, char *log, unsigned n) {
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)n};
  return cuModuleLoadDataEx(m, ptx, 2, options, values);
}

const char *hd_error_name(CUresult r) {
  const char *s = NULL;
  return cuGetErrorName(r, &s) == CUDA_SUCCESS && s != NULL ? s : "";
}

const char *hd_error_text(CUresult r) {
  const char *s = NULL;
  return cuGetErrorString(r, &s) == CUDA_SUCCESS && s != NULL ? s : "";
}
