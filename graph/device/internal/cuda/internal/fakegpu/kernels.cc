// A family of the device's kernels, compiled for the processor: FAMILY is its file. Each family is an object of its own, as on the GPU.
#include "shim.h"
#include "warp.h"

namespace {
#include FAMILY
}
