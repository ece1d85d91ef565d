// The device's kernels, compiled for the processor.
#include "shim.h"

namespace {
#include "../kernels/kernels.cu"
}
