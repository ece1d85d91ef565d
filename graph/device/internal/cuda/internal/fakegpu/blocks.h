#pragma once

#include <vector>

#include "shim.h"

namespace shim {

// Launch is a kernel with its arguments and the sizes of its grid.
struct Launch {
  const Kernel* kernel;
  Index grid, block;
  std::vector<char> arguments;
  size_t shared; // bytes of shared memory in addition to what the kernel declares
};

// run computes all blocks and returns when they have ended.
void run(const Launch& l);

} // namespace shim
