#include <cuda.h>
#include <stddef.h>
#include <stdint.h>

// The part of cuDNN 9 that is used: its "graph API" in C, opened at run time. The numbers are those of cudnn_graph.h,
// with DNN_ for CUDNN_; they are part of the library's binary interface and the same in all releases from 9.0 on.
enum { // cudnnBackendDescriptorType_t
  DNN_BACKEND_POINTWISE_DESCRIPTOR = 0,
  DNN_BACKEND_CONVOLUTION_DESCRIPTOR = 1,
  DNN_BACKEND_ENGINE_DESCRIPTOR = 2,
  DNN_BACKEND_ENGINECFG_DESCRIPTOR = 3,
  DNN_BACKEND_ENGINEHEUR_DESCRIPTOR = 4,
  DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR = 5,
  DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR = 10,
  DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR = 12,
  DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR = 13,
  DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR = 15,
  DNN_BACKEND_VARIANT_PACK_DESCRIPTOR = 16,
  DNN_BACKEND_TENSOR_DESCRIPTOR = 17,
  DNN_BACKEND_MATMUL_DESCRIPTOR = 18,
  DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR = 19,
  DNN_BACKEND_REDUCTION_DESCRIPTOR = 21,
  DNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR = 22,
  DNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR = 31,
};
enum { // cudnnBackendAttributeName_t
  DNN_ATTR_POINTWISE_MODE = 0,
  DNN_ATTR_POINTWISE_MATH_PREC = 1,
  DNN_ATTR_POINTWISE_SWISH_BETA = 8,
  DNN_ATTR_CONVOLUTION_COMP_TYPE = 100,
  DNN_ATTR_CONVOLUTION_CONV_MODE = 101,
  DNN_ATTR_CONVOLUTION_DILATIONS = 102,
  DNN_ATTR_CONVOLUTION_FILTER_STRIDES = 103,
  DNN_ATTR_CONVOLUTION_POST_PADDINGS = 104,
  DNN_ATTR_CONVOLUTION_PRE_PADDINGS = 105,
  DNN_ATTR_CONVOLUTION_SPATIAL_DIMS = 106,
  DNN_ATTR_ENGINEHEUR_MODE = 200,
  DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH = 201,
  DNN_ATTR_ENGINEHEUR_RESULTS = 202,
  DNN_ATTR_ENGINECFG_ENGINE = 300,
  DNN_ATTR_EXECUTION_PLAN_HANDLE = 400,
  DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG = 401,
  DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE = 402,
  DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA = 700,
  DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA = 701,
  DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC = 702,
  DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W = 703,
  DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X = 704,
  DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y = 705,
  DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA = 706,
  DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA = 707,
  DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC = 708,
  DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W = 709,
  DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX = 710,
  DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY = 711,
  DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR = 750,
  DNN_ATTR_OPERATION_POINTWISE_XDESC = 751,
  DNN_ATTR_OPERATION_POINTWISE_BDESC = 752,
  DNN_ATTR_OPERATION_POINTWISE_YDESC = 753,
  DNN_ATTR_OPERATIONGRAPH_HANDLE = 800,
  DNN_ATTR_OPERATIONGRAPH_OPS = 801,
  DNN_ATTR_TENSOR_BYTE_ALIGNMENT = 900,
  DNN_ATTR_TENSOR_DATA_TYPE = 901,
  DNN_ATTR_TENSOR_DIMENSIONS = 902,
  DNN_ATTR_TENSOR_STRIDES = 903,
  DNN_ATTR_TENSOR_UNIQUE_ID = 906,
  DNN_ATTR_TENSOR_IS_VIRTUAL = 907,
  DNN_ATTR_TENSOR_IS_BY_VALUE = 908,
  DNN_ATTR_VARIANT_PACK_UNIQUE_IDS = 1000,
  DNN_ATTR_VARIANT_PACK_DATA_POINTERS = 1001,
  DNN_ATTR_VARIANT_PACK_WORKSPACE = 1003,
  DNN_ATTR_ENGINE_GLOBAL_INDEX = 1301,
  DNN_ATTR_ENGINE_NUMERICAL_NOTE = 1303,
  DNN_ATTR_MATMUL_COMP_TYPE = 1500,
  DNN_ATTR_OPERATION_MATMUL_ADESC = 1520,
  DNN_ATTR_OPERATION_MATMUL_BDESC = 1521,
  DNN_ATTR_OPERATION_MATMUL_CDESC = 1522,
  DNN_ATTR_OPERATION_MATMUL_DESC = 1523,
  DNN_ATTR_REDUCTION_OPERATOR = 1600,
  DNN_ATTR_REDUCTION_COMP_TYPE = 1601,
  DNN_ATTR_OPERATION_REDUCTION_XDESC = 1610,
  DNN_ATTR_OPERATION_REDUCTION_YDESC = 1611,
  DNN_ATTR_OPERATION_REDUCTION_DESC = 1612,
  DNN_ATTR_OPERATION_RESHAPE_XDESC = 2200,
  DNN_ATTR_OPERATION_RESHAPE_YDESC = 2201,
};
enum { // cudnnBackendAttributeType_t
  DNN_TYPE_HANDLE = 0,
  DNN_TYPE_DATA_TYPE = 1,
  DNN_TYPE_BOOLEAN = 2,
  DNN_TYPE_INT64 = 3,
  DNN_TYPE_FLOAT = 4,
  DNN_TYPE_VOID_PTR = 6,
  DNN_TYPE_CONVOLUTION_MODE = 7,
  DNN_TYPE_HEUR_MODE = 8,
  DNN_TYPE_NUMERICAL_NOTE = 11,
  DNN_TYPE_POINTWISE_MODE = 14,
  DNN_TYPE_BACKEND_DESCRIPTOR = 15,
  DNN_TYPE_REDUCTION_OPERATOR = 18,
};
enum { DNN_CROSS_CORRELATION = 1 };                                                  // cudnnConvolutionMode_t
enum { DNN_DATA_FLOAT = 0, DNN_DATA_BFLOAT16 = 9 };                                  // cudnnDataType_t
enum { DNN_HEUR_MODE_B = 1, DNN_HEUR_MODE_FALLBACK = 2, DNN_HEUR_MODE_A = 3 };       // cudnnBackendHeurMode_t
enum {                                                                               // cudnnPointwiseMode_t
  DNN_POINTWISE_ADD = 0, DNN_POINTWISE_MUL = 1, DNN_POINTWISE_DIV = 6, DNN_POINTWISE_SUB = 9, DNN_POINTWISE_EXP = 13,
  DNN_POINTWISE_LOG = 15,
  DNN_POINTWISE_IDENTITY = 21, DNN_POINTWISE_RELU_FWD = 100, DNN_POINTWISE_SWISH_FWD = 106,
};
enum { DNN_REDUCE_ADD = 0, DNN_REDUCE_MAX = 3 };                                     // cudnnReduceTensorOp_t
enum { DNN_NUMERICAL_NOTE_TENSOR_CORE = 0 };                                         // cudnnBackendNumericalNote_t

// hd_dnn is the library with a handle on a GPU.
typedef struct hd_dnn hd_dnn;

// hd_dnn_open makes the handle; all of its work goes to the stream. NULL means that it can't: text, of n bytes, says
// why.
hd_dnn *hd_dnn_open(void *library, CUcontext ctx, CUstream stream, char *text, size_t n);
const char *hd_dnn_close(hd_dnn *d, CUcontext ctx);

// The products of a convolution.
enum { HD_DNN_FORWARD, HD_DNN_DATA_GRAD };

// The tensors of a convolution's plan: the image, the weight, the result, bias and residual.
// Images are [n,h,w,c] in memory, weights [k,kh,kw,c].
enum { HD_DNN_X, HD_DNN_W, HD_DNN_Y, HD_DNN_BIAS, HD_DNN_RESIDUAL };

// The tensors of an attention's plans. Queries, keys, values, the output and the gradients are bfloat16,
// [n,length,heads,d] in memory; HD_DNN_STATS, ln Σ exp of each query's scores, and HD_DNN_SUMS, which is the gradients'
// own, are float32 [n,heads,queries]. Scale and one are numbers in the host's memory: hd_dnn_plan has them.
enum {
  HD_DNN_Q, HD_DNN_K, HD_DNN_V, HD_DNN_O, HD_DNN_STATS, HD_DNN_DY, HD_DNN_DQ, HD_DNN_DK, HD_DNN_DV, HD_DNN_SUMS,
  HD_DNN_SCALE, HD_DNN_ONE,
  HD_DNN_TENSORS, // the most that a plan has
};

// hd_dnn_convolution asks for a plan. Sums are float32; bias and residual are too.
typedef struct {
  int32_t kind;
  int32_t n, h, w, c, oh, ow, k, kh, kw, stride, top, left, bottom, right;
  int32_t io, out;        // element types, DNN_DATA_…, of the factors and of the product
  int32_t bias, residual; // are added
  int32_t act;            // a DNN_POINTWISE_… after that, or DNN_POINTWISE_IDENTITY
  int32_t exact;          // products of float32 are float32's: no tensor cores
} hd_dnn_convolution;

// hd_dnn_attention asks for a plan of softmax(q·kᵀ/√d)·v.
typedef struct {
  int32_t grad; // the gradients are wanted, from o and stats too
  int32_t n, heads, queries, keys, d;
  int32_t stats; // is written, where grad is 0
  float scale;   // 1/√d
} hd_dnn_attention;

// hd_dnn_plan is a plan that is ready to run.
typedef struct {
  void *plan;
  int64_t workspace; // bytes
  int64_t engine;    // cuDNN's number of it
  float *numbers;    // of attention: HD_DNN_SCALE, and HD_DNN_ONE 4 numbers on
} hd_dnn_plan;

// hd_dnn_make finds the first engine that cuDNN's heuristics offer for a convolution, that is as exact as is asked,
// gives the same bytes each time, and takes no more than limit bytes of workspace. It returns 0 where there is none:
// text says why.
int hd_dnn_make(hd_dnn *d, CUcontext ctx, const hd_dnn_convolution *c, int64_t limit, hd_dnn_plan *plan, char *text,
                size_t n);
int hd_dnn_attend(hd_dnn *d, CUcontext ctx, const hd_dnn_attention *a, int64_t limit, hd_dnn_plan *plan, char *text,
                  size_t n);
void hd_dnn_forget(hd_dnn *d, hd_dnn_plan *plan);
void hd_dnn_destroy(hd_dnn *d, void *descriptor);

// hd_dnn_run queues a plan's work on tensors (those that it has, others NULL). *pack keeps the addresses of the last
// call for the next one.
typedef struct {
  void *descriptor;
  void *tensors[HD_DNN_TENSORS], *workspace;
} hd_dnn_pack;
int hd_dnn_run(hd_dnn *d, CUcontext ctx, void *plan, hd_dnn_pack *pack, void *const *tensors, void *workspace,
               char *text, size_t n);
