//go:build !linux && !darwin && !windows

package hostinfo

import "runtime"

func systemName() string { return runtime.GOOS }
