package hostinfo

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// systemName is the version of Windows as its own tools count it, such as "Windows 10.0.22631", which is a Windows 11.
func systemName() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("Windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
