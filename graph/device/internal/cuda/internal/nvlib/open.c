//go:build gpu

#define _GNU_SOURCE
#include "open.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

void *hd_library_open(const char *name, int global, char *text, size_t n) {
  text[0] = 0;
  void *l = dlopen(name, RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
  if (l == NULL) {
    const char *wrong = dlerror();
    snprintf(text, n, "%s", wrong != NULL ? wrong : name);
    return NULL;
  }
  struct link_map *map = NULL;
  if (dlinfo(l, RTLD_DI_LINKMAP, &map) == 0 && map != NULL && map->l_name != NULL) snprintf(text, n, "%s", map->l_name);
  return l;
}

void *hd_library_symbol(void *library, const char *name) { return dlsym(library, name); }

size_t hd_library_version(void *library, const char *name) {
  size_t (*f)(void) = (size_t(*)(void))dlsym(library, name);
  return f != NULL ? f() : 0;
}

int hd_library_version_by_pointer(void *library, const char *name) {
  int version = 0;
  int (*f)(int *) = (int (*)(int *))dlsym(library, name);
  return f != NULL && f(&version) == 0 ? version : 0;
}
