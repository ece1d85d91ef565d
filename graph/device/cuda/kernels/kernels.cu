// All kernels of the device, one translation unit: ../gen_kernels.ptx is made of it.
#include "device.cuh"

#include "arrange.cuh"
#include "elementwise.cuh"
#include "matmul.cuh"
#include "reduce.cuh"
#include "norm.cuh"
#include "optimizer.cuh"
#include "pooling.cuh"
#include "posterior.cuh"
