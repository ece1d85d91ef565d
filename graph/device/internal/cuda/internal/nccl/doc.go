// Package nccl sums over the GPUs of one machine with NVIDIA's NCCL. It is opened at run time.
package nccl
