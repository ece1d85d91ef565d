// The kernels in plain C, for any machine.
#pragma GCC diagnostic ignored "-Wpsabi"
#define KERNELS hd_kernels_generic
#include "kernels.inc.h"
