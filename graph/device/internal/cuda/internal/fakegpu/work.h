// The part of the stand-in for NVIDIA's driver that the stand-ins for its libraries use.
#pragma once

#include <stddef.h>

#include <functional>

#define SHARED __attribute__((visibility("default")))

// fake_cuda_work queues work that may read and write the device's memory. name goes to the log as a launch.
SHARED void fake_cuda_work(const char* name, std::function<void()> work);

// fake_cuda_owns reports whether n bytes from p on are allocated memory of the device.
SHARED bool fake_cuda_owns(const void* p, size_t n);

// fake_cuda_context reports whether the thread has the device's context.
SHARED bool fake_cuda_context();
