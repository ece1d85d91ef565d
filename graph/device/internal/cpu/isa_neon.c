// The kernels for arm64, where every processor has NEON.
#if defined(__aarch64__)
#define HD_NEON
#define KERNELS hd_kernels_neon
#include "kernels.inc.h"
#endif
