//go:build gpu

package driver

// #include "driver.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"
)

// Error is a failure of the driver.
type Error struct {
	Code int    // CUresult
	Name string // such as CUDA_ERROR_OUT_OF_MEMORY
	Text string
}

// Error describes the failure and notes if it is fatal to the device.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s (%d): %s", e.Name, e.Code, e.Text)
	switch {
	case e.fatal():
		return s + ": the GPU is lost to this process; start it again"
	case e.Code == C.CUDA_ERROR_OUT_OF_MEMORY:
		return s + ": nvidia-smi shows which processes hold the GPU's memory"
	}
	return s
}

// fatal reports whether nothing can be done with the device any more.
func (e *Error) fatal() bool {
	switch e.Code {
	case C.CUDA_ERROR_ILLEGAL_ADDRESS, C.CUDA_ERROR_LAUNCH_FAILED, C.CUDA_ERROR_ECC_UNCORRECTABLE,
		C.CUDA_ERROR_HARDWARE_STACK_ERROR, C.CUDA_ERROR_LAUNCH_TIMEOUT, C.CUDA_ERROR_ILLEGAL_INSTRUCTION,
		C.CUDA_ERROR_MISALIGNED_ADDRESS,
		C.CUDA_ERROR_INVALID_ADDRESS_SPACE, C.CUDA_ERROR_INVALID_PC, C.CUDA_ERROR_NVLINK_UNCORRECTABLE,
		C.CUDA_ERROR_CONTEXT_IS_DESTROYED, C.CUDA_ERROR_UNKNOWN:
		return true
	}
	return false
}

// IgnoreIfLost drops cleanup errors once the device is lost; the cause was already reported.
func IgnoreIfLost(err error) error {
	var e *Error
	if errors.As(err, &e) && e.fatal() {
		return nil
	}
	return err
}

// OutOfMemory reports whether the GPU had too little memory.
func OutOfMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == C.CUDA_ERROR_OUT_OF_MEMORY
}

// result is nil for success.
func result(r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	return &Error{int(r), C.GoString(C.hd_error_name(r)), C.GoString(C.hd_error_text(r))}
}

// explain gives an error of package cu the driver's own words.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return result(C.CUresult(v.Int()))
	}
	return err
}
