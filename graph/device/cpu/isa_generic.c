// The kernels in plain C: what any machine can run.
#pragma GCC diagnostic ignored "-Wpsabi"
#define KERNELS hd_kernels_generic
#include "kernels.inc.h"
