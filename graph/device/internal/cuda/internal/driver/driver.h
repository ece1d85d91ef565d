#include <cuda.h>
#include <stddef.h>

// hd_driver_open is in libcuda/trampoline.c.
const char *hd_driver_open(const char *path);

// hd_launch launches a kernel with packed arguments and `shared` bytes of shared memory in addition to what it
// declares.
CUresult hd_launch(CUcontext ctx, CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned block, unsigned shared,
                   CUstream stream, void *arguments, size_t bytes);

// hd_allow_shared lets a kernel be launched with so many bytes of shared memory: without it 48 KiB are the most.
CUresult hd_allow_shared(CUcontext ctx, CUfunction f, unsigned shared);

// hd_module_load compiles PTX; the compiler's messages go to log, which has n bytes.
CUresult hd_module_load(CUmodule *m, const char *ptx, char *log, unsigned n);

// hd_error_name and hd_error_text say what a result means; "" if the driver doesn't know it.
const char *hd_error_name(CUresult r);
const char *hd_error_text(CUresult r);

// hd_capture begins to record what is put into a stream; hd_captured ends that and makes something of it that hd_replay
// runs.
CUresult hd_capture(CUstream stream);
CUresult hd_captured(CUstream stream, CUgraphExec *exec);
CUresult hd_replay(CUcontext ctx, CUgraphExec exec, CUstream stream);
