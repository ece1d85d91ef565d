// Package nccl sums over GPUs, of this process and of others, with NVIDIA's NCCL. It is opened at run time.
package nccl
