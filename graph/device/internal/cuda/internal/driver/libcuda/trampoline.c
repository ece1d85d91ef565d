// Programs are linked with this instead of libcuda, so that they start on machines without NVIDIA's driver.
//
// libcuda.a defines every function of cuda.h as a jump through a table. hd_driver_open fills the table from the
// driver's library. Until then cuInit succeeds and does nothing, for gorgonia.org/cu calls it before main and ends the
// program if it fails; every other function returns CUDA_ERROR_NOT_INITIALIZED. functions.h, which lists the functions,
// is made of cuda.h: see scripts/cuda.sh.
#include <dlfcn.h>
#include <stdio.h>

static int not_initialized(void) { return 3; }
static int success(void) { return 0; }

// A slot is a function's address; the function of the same name jumps there, its arguments staying where the caller
// put them.
#if defined(__x86_64__)
#define JUMP(slot) "jmp *" slot "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(slot) "adrp x16, " slot "\nldr x16, [x16, :lo12:" slot "]\nbr x16\n"
#else
#error "CUDA programs run on x86_64 and aarch64"
#endif

#define FUNCTION(name)                                                                         \
  __attribute__((visibility("hidden"))) void *hd_slot_##name = (void *)not_initialized;        \
  __asm__(".text\n.globl " #name "\n.type " #name ", %function\n" #name ":\n" JUMP("hd_slot_" #name));
#include "functions.h"
#undef FUNCTION

static const struct entry {
  const char *name;
  void **slot;
} table[] = {
#define FUNCTION(name) {#name, &hd_slot_##name},
#include "functions.h"
#undef FUNCTION
};

__attribute__((constructor)) static void begin(void) { hd_slot_cuInit = (void *)success; }

// hd_driver_open opens a driver's library and returns NULL, or an error. Functions that it lacks stay as they are.
// The first library that opens is the process's.
const char *hd_driver_open(const char *path) {
  static char message[512];
  static void *library;
  if (library != NULL) return NULL;
  void *l = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (l == NULL) {
    snprintf(message, sizeof message, "%s", dlerror());
    return message;
  }
  if (dlsym(l, "cuInit") == NULL) {
    snprintf(message, sizeof message, "%s: no driver: it has no cuInit", path);
    dlclose(l);
    return message;
  }
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    void *f = dlsym(l, table[i].name);
    if (f != NULL) *table[i].slot = f;
  }
  library = l;
  return NULL;
}
