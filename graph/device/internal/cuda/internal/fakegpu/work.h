// The part of the stand-in for NVIDIA's driver that the stand-ins for its libraries use.
#pragma once

#include <stddef.h>

#include <functional>

#include <cuda.h>

#define SHARED __attribute__((visibility("default")))

// fake_cuda_work queues work of a stream that may read and write the device's memory. While it is false, it has to wait, and is tried again.
// name goes to the log as a launch.
SHARED void fake_cuda_work(const char* name, CUstream stream, std::function<bool()> work);

// fake_cuda_owns reports whether n bytes from p on are allocated memory of the device.
SHARED bool fake_cuda_owns(const void* p, size_t n);

// fake_cuda_context reports whether the thread has the device's context.
SHARED bool fake_cuda_context();
