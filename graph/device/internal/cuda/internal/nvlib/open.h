#include <stddef.h>

// hd_library_open opens a library; text (n bytes) becomes its path, or the error if NULL is returned. global gives
// its functions to libraries that are opened later.
void *hd_library_open(const char *name, int global, char *text, size_t n);

// hd_library_symbol finds a function; NULL if there is none.
void *hd_library_symbol(void *library, const char *name);

// hd_library_version calls size_t name(void); 0 if there is none.
size_t hd_library_version(void *library, const char *name);

// hd_library_version_by_pointer calls int name(int *version); 0 if there is none or it fails.
int hd_library_version_by_pointer(void *library, const char *name);
