// Compiles CUDA C++ to PTX with NVIDIA's run-time compiler, which comes as one library: no compiler driver, no headers,
// no GPU.
//
//   ptxc libnvrtc.so.12 in.cu out.ptx option...
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef void *program;

static void *library;

static void *symbol(const char *name) {
  void *s = dlsym(library, name);
  if (s == NULL) {
    fprintf(stderr, "ptxc: %s\n", dlerror());
    exit(1);
  }
  return s;
}

static char *read_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (f == NULL) {
    perror(path);
    exit(1);
  }
  fseek(f, 0, SEEK_END);
  long n = ftell(f);
  rewind(f);
  char *text = calloc(1, (size_t)n + 1);
  if (fread(text, 1, (size_t)n, f) != (size_t)n) {
    perror(path);
    exit(1);
  }
  fclose(f);
  return text;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: ptxc libnvrtc.so.12 in.cu out.ptx option...\n");
    return 2;
  }
  library = dlopen(argv[1], RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "ptxc: %s\n", dlerror());
    return 1;
  }
  int (*create)(program *, const char *, const char *, int, const char *const *,
                const char *const *) = symbol("nvrtcCreateProgram");
  int (*compile)(program, int, const char *const *) = symbol("nvrtcCompileProgram");
  int (*log_size)(program, size_t *) = symbol("nvrtcGetProgramLogSize");
  int (*get_log)(program, char *) = symbol("nvrtcGetProgramLog");
  int (*ptx_size)(program, size_t *) = symbol("nvrtcGetPTXSize");
  int (*get_ptx)(program, char *) = symbol("nvrtcGetPTX");

  program p;
  if (create(&p, read_file(argv[2]), argv[2], 0, NULL, NULL) != 0) {
    fprintf(stderr, "ptxc: nvrtcCreateProgram failed\n");
    return 1;
  }
  int failed = compile(p, argc - 4, (const char *const *)argv + 4);
  size_t n = 0;
  if (log_size(p, &n) == 0 && n > 1) {
    char *log = malloc(n);
    get_log(p, log);
    fputs(log, stderr);
  }
  if (failed) {
    fprintf(stderr, "ptxc: %s: error %d of nvrtcCompileProgram\n", argv[2], failed);
    return 1;
  }
  if (ptx_size(p, &n) != 0) return 1;
  char *ptx = malloc(n);
  if (get_ptx(p, ptx) != 0) return 1;
  FILE *f = fopen(argv[3], "wb");
  if (f == NULL || fwrite(ptx, 1, n - 1, f) != n - 1 || fclose(f) != 0) {
    perror(argv[3]);
    return 1;
  }
  return 0;
}
